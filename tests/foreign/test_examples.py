"""Every file in examples/ is posted as it is and does what it says."""
import json

import connect
import levada

EXAMPLES = levada.ROOT / "examples"


def test_every_example_is_posted_unchanged_and_moves_its_lines(daemons):
    daemon = daemons()
    (daemon.directory / "test.txt").write_text("foo\nbar\n")
    packages = "".join(f"Package: p{i}\nDescription: \"quoted\" \\ řetězec {i}\n\n" for i in range(2000))
    (daemon.directory / "packages.txt").write_text(packages)
    worker = connect.Connect(daemon.rest_url)
    posted = []
    for path in sorted(EXAMPLES.glob("*.json")):
        answer = worker.call("POST", "/connectors", raw=path.read_bytes())
        assert answer.status == 201, f"{path.name}: {answer}"
        assert answer.body["config"] == {**json.loads(path.read_text())["config"], "name": answer.body["name"]}
        posted.append(answer.body["name"])
    assert len(posted) == 6
    for copy, original in (("test.sink.txt", "foo\nbar\n"), ("packages.copy.txt", packages), ("packages.json.copy.txt", packages)):
        out = daemon.directory / copy
        levada.wait_for(lambda: out.exists() and out.stat().st_size >= len(original.encode()), 60, f"{copy} is whole")
        assert out.read_text() == original, copy
    for name in posted:
        worker.wait_for_states(name, "RUNNING", "RUNNING")
    assert daemon.stop() == 0
