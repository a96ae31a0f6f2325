"""file -> topic -> file: 1,000,000 lines of 100 bytes from the first POST to the last byte fsynced in the output.

Levada's classes, Apache's classes on Levada, and Apache Connect with its own broker; one task, default durability."""
import os
import time

from measure import Peer, connect, cpu_seconds, daemon, figure, fresh, memory_mb

LINES = 1_000_000
LIMIT = 300.0
CONVERTERS = {"StringConverter": {"key.converter": connect.STRING, "value.converter": connect.STRING},
              "JsonConverter": {"key.converter": connect.JSON, "value.converter": connect.JSON,
                                "value.converter.schemas.enable": "false"}}


def make_input(path, lines):
    """Lines of 100 bytes, line end included."""
    with open(path, "wb") as out:
        for start in range(0, lines, 10_000):
            out.write(b"".join(b"%09d " % i + b"abcdefghijklmnopqrstuvwxyz0123456789" * 2 + b"ABCDEFGHIJKLMNOPQ\n"
                               for i in range(start, min(lines, start + 10_000))))
    assert path.stat().st_size == lines * 100


def move(url, source, sink, out, size):
    """Posts both connectors and returns the seconds until `out` has `size` bytes on disk."""
    worker = connect.Connect(url)
    start = time.monotonic()
    for name, config in (("bench-in", source), ("bench-out", sink)):
        answer = worker.create(name, config)
        assert answer.status == 201, answer
    while not out.exists() or out.stat().st_size < size:
        if time.monotonic() - start > LIMIT:
            raise SystemExit(f"{out} has {out.stat().st_size if out.exists() else 0} of {size} bytes after {LIMIT} s: "
                             f"{worker.get('/connectors?expand=status')}")
        time.sleep(0.001)
    with open(out, "rb") as written:
        os.fsync(written.fileno())
    return time.monotonic() - start


def report(who, classes, converter, lines, seconds, pids, cpu):
    figure("files", who=who, classes=classes, converter=converter, lines=lines, seconds=seconds, lines_per_s=int(lines / seconds),
           peak_rss_mb=memory_mb("VmHWM", *pids), cpu_s=cpu)


def levada_run(classes, converter, lines, path):
    home = daemon(f"files-{classes}")
    try:
        out = home.directory / "out"
        make_source, make_sink = {"levada": (connect.levada_source, connect.levada_sink),
                                  "apache": (connect.file_source, connect.file_sink)}[classes]
        settings = CONVERTERS[converter]
        seconds = move(home.rest_url, make_source(path, "bench", **settings), make_sink(out, "bench", **settings), out, lines * 100)
        report("Levada", classes, converter, lines, seconds, [home.pid], cpu_seconds(home.pid))
        assert out.read_bytes() == path.read_bytes(), "the copy differs"
        assert home.stop() == 0
    finally:
        if home.process:
            home.kill9()


def peer_run(converter, lines, path):
    peer = Peer("broker", "connect")
    try:
        out = path.parent / "peer-out"
        out.unlink(missing_ok=True)
        settings, before = CONVERTERS[converter], cpu_seconds(*peer.pids())
        seconds = move(peer.rest_url, connect.file_source(path, "bench", **settings), connect.file_sink(out, "bench", **settings), out, lines * 100)
        report("Apache Connect + Kafka", "apache", converter, lines, seconds, peer.pids(), cpu_seconds(*peer.pids()) - before)
        assert out.read_bytes() == path.read_bytes(), "the copy differs"
    finally:
        peer.stop()


def main(options):
    path = fresh("files-input") / "lines.txt"
    make_input(path, options.lines)
    for converter in CONVERTERS:
        for _ in range(options.runs):
            levada_run("levada", converter, options.lines, path)
        levada_run("apache", converter, options.lines, path)
        if options.peer:
            peer_run(converter, options.lines, path)
