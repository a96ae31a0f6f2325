"""The Connect REST contract: statuses, bodies, key order and texts that CLIs, UIs and operators depend on."""
import pytest

import connect
import levada
from connect import quoted


@pytest.fixture
def worker(rest):
    return connect.Connect(rest)


@pytest.fixture
def source(worker, unique, scratch):
    """A running file source: (name, config, input path, topic); deleted afterwards."""
    name, topic, path = unique("src"), unique("lines"), scratch / "in.txt"
    path.write_text("one\ntwo\nthree\n")
    config = connect.file_source(path, topic)
    answer = worker.create(name, config)
    assert answer.status == 201, answer
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    yield name, config, path, topic
    worker.delete(name)


def error(answer, status, *texts):
    """The answer is an error body of Connect's form that holds all texts."""
    assert answer.status == status, answer
    assert list(answer.body) == ["error_code", "message"], answer
    assert answer.body["error_code"] == status, answer
    for text in texts:
        assert text in answer.body["message"], answer


def test_root_names_version_commit_and_cluster(worker):
    answer = worker.get("/")
    assert answer.status == 200 and list(answer.body) == ["version", "commit", "kafka_cluster_id"]
    assert all(isinstance(value, str) and value for value in answer.body.values())


def test_health_is_healthy(worker):
    answer = worker.get("/health")
    assert answer.status == 200 and answer.body["status"] == "healthy" and answer.body["message"]


def test_create_answers_201_with_location_and_the_config(worker, unique, scratch):
    name = unique("created")
    config = connect.file_source(scratch / "absent.txt", unique("t"))
    answer = worker.create(name, config)
    assert answer.status == 201, answer
    assert answer.headers["Location"] == f"{worker.url}/connectors/{name}"
    assert list(answer.body) == ["name", "config", "tasks", "type"]
    assert answer.body["name"] == name and answer.body["type"] == "source"
    assert answer.body["config"] == {**config, "name": name}
    error(worker.create(name, config), 409, f"Connector {name} already exists")
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    assert worker.delete(name).status == 204


def test_reads_of_one_connector(worker, source):
    name, config, _, _ = source
    info = worker.get(f"/connectors/{name}")
    assert list(info.body) == ["name", "config", "tasks", "type"]
    assert info.body["tasks"] == [{"connector": name, "task": 0}]
    assert worker.get(f"/connectors/{name}/config").body == {**config, "name": name}
    status = worker.get(f"/connectors/{name}/status").body
    assert [k for k in status] == ["name", "connector", "tasks", "type"]
    assert [k for k in status["connector"] if k != "version"] == ["state", "worker_id"]
    assert [k for k in status["tasks"][0] if k != "version"] == ["id", "state", "worker_id"]
    assert status["connector"]["worker_id"] == worker.url.removeprefix("http://")
    (task,) = worker.get(f"/connectors/{name}/tasks").body
    assert list(task) == ["id", "config"] and task["id"] == {"connector": name, "task": 0}
    assert task["config"]["task.class"] and task["config"]["topic"] == config["topic"]
    assert worker.get(f"/connectors/{name}/tasks/0/status").body == status["tasks"][0]


def test_list_and_expansions(worker, source):
    name, config, _, _ = source
    assert name in worker.get("/connectors").body
    expanded = worker.get("/connectors?expand=status&expand=info").body[name]
    assert sorted(expanded) == ["info", "status"]
    assert expanded["info"]["config"] == {**config, "name": name}
    assert expanded["status"]["connector"]["state"] == "RUNNING"
    assert list(worker.get("/connectors?expand=info").body[name]) == ["info"]
    # An unknown expansion is left out, it is no error.
    assert worker.get("/connectors?expand=nonsense").status == 200


def test_put_config_creates_then_updates(worker, unique, scratch):
    name = unique("put")
    config = connect.file_source(scratch / "absent.txt", unique("t"))
    created = worker.put(f"/connectors/{name}/config", config)
    assert created.status == 201 and created.body["name"] == name, created
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    updated = worker.put(f"/connectors/{name}/config", {**config, "batch.size": "100"})
    assert updated.status == 200 and updated.body["config"]["batch.size"] == "100", updated
    error(worker.put(f"/connectors/{name}/config", {**config, "name": "other"}), 400,
          "Connector name configuration (other) doesn't match connector name in the URL")
    worker.delete(name)


def test_patch_config_merges_and_null_deletes(worker, source):
    name, config, _, _ = source
    answer = worker.call("PATCH", f"/connectors/{name}/config", {"batch.size": "50", "value.converter": None})
    assert answer.status == 200, answer
    assert answer.body["config"]["batch.size"] == "50" and "value.converter" not in answer.body["config"]
    assert worker.get(f"/connectors/{name}/config").body["topic"] == config["topic"]
    error(worker.call("PATCH", "/connectors/absent/config", {"a": "b"}), 404, "Connector absent not found")
    error(worker.call("PATCH", f"/connectors/{name}/config", {"tasks.max": "none"}), 400, "tasks.max")


def test_numbers_and_booleans_become_strings(worker, unique, scratch):
    name = unique("coerced")
    config = {**connect.file_source(scratch / "absent.txt", unique("t")), "tasks.max": 1, "batch.size": 10, "errors.log.enable": True}
    answer = worker.create(name, config)
    assert answer.status == 201, answer
    stored = worker.get(f"/connectors/{name}/config").body
    assert (stored["tasks.max"], stored["batch.size"], stored["errors.log.enable"]) == ("1", "10", "true")
    worker.delete(name)


def test_delete_then_everything_is_404(worker, unique, scratch):
    name = unique("gone")
    assert worker.create(name, connect.file_source(scratch / "absent.txt", unique("t"))).status == 201
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    answer = worker.delete(name)
    assert answer.status == 204 and answer.text == ""
    levada.wait_for(lambda: worker.states(name)[0] is None, 30, "the status is gone")
    for path in (f"/connectors/{name}", f"/connectors/{name}/config", f"/connectors/{name}/tasks"):
        error(worker.get(path), 404, name)
    error(worker.delete(name), 404, f"Connector {name} not found")
    error(worker.get(f"/connectors/{name}/status"), 404, f"No status found for connector {name}")
    error(worker.get(f"/connectors/{name}/tasks/0/status"), 404, f"No status found for task {name}-0")
    error(worker.put(f"/connectors/{name}/pause"), 404, f"Unknown connector {name}")
    error(worker.put(f"/connectors/{name}/resume"), 404, f"Unknown connector {name}")
    error(worker.call("POST", f"/connectors/{name}/restart"), 404, f"Unknown connector: {name}")
    error(worker.call("POST", f"/connectors/{name}/tasks/0/restart"), 404, "Unknown")
    error(worker.get(f"/connectors/{name}/offsets"), 404)
    answer = worker.get(f"/connectors/{name}/topics")
    assert (answer.status, answer.body) == (200, {name: {"topics": []}})


def test_pause_resume_stop(worker, source):
    name = source[0]
    for _ in range(2):  # idempotent
        answer = worker.put(f"/connectors/{name}/pause")
        assert answer.status == 202 and answer.text == "", answer
    worker.wait_for_states(name, "PAUSED", "PAUSED")
    assert worker.put(f"/connectors/{name}/resume").status == 202
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    answer = worker.put(f"/connectors/{name}/stop")
    assert answer.status == 204 and answer.text == "", answer
    worker.wait_for_states(name, "STOPPED")
    assert worker.get(f"/connectors/{name}/tasks").body == []
    assert worker.put(f"/connectors/{name}/resume").status == 202
    worker.wait_for_states(name, "RUNNING", "RUNNING")


@pytest.mark.parametrize("asked", ["STOPPED", "paused", "RUNNING"])
def test_initial_state(worker, unique, scratch, asked):
    name, path, topic = unique("initial"), scratch / "in.txt", unique("t")
    path.write_text("line\n")
    assert worker.create(name, connect.file_source(path, topic), initial_state=asked).status == 201
    levada.wait_for(lambda: worker.states(name)[0] == asked.upper(), 60, f"{name} is {asked}")
    assert set(worker.states(name)[1]) <= {asked.upper()}, "Connect makes the tasks of a paused connector later"
    worker.put(f"/connectors/{name}/resume")
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    worker.delete(name)


def test_restart_forms(worker, source):
    name = source[0]
    answer = worker.call("POST", f"/connectors/{name}/restart")
    assert answer.status == 204 and answer.text == ""
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    answer = worker.call("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=false")
    assert answer.status == 202, answer
    assert answer.body["connector"]["state"] == "RESTARTING"
    assert [task["state"] for task in answer.body["tasks"]] == ["RESTARTING"]
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    answer = worker.call("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")
    assert answer.status == 202 and answer.body["connector"]["state"] == "RUNNING", "nothing has failed"
    assert worker.call("POST", f"/connectors/{name}/tasks/0/restart").status == 204
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    error(worker.call("POST", f"/connectors/{name}/tasks/7/restart"), 404, f"Unknown task: {name}-7")
    error(worker.call("POST", f"/connectors/{name}/tasks/x/restart"), 404, "HTTP 404 Not Found")


def test_topics_are_tracked_and_reset(worker, source):
    name, _, _, topic = source
    levada.wait_for(lambda: worker.get(f"/connectors/{name}/topics").body == {name: {"topics": [topic]}}, 30, "the topic is listed")
    answer = worker.put(f"/connectors/{name}/topics/reset")
    assert answer.status == 202 and answer.text == ""
    levada.wait_for(lambda: worker.get(f"/connectors/{name}/topics").body == {name: {"topics": []}}, 30, "the list is empty")


def test_source_offsets_read_altered_and_reset(worker, source):
    name, _, path, _ = source
    partition = {"filename": str(path)}

    def offsets():
        return worker.get(f"/connectors/{name}/offsets").body

    levada.wait_for(lambda: offsets()["offsets"], 90, "an offset is committed")
    (entry,) = offsets()["offsets"]
    assert list(entry) == ["partition", "offset"] and entry["partition"] == partition and entry["offset"]["position"] == 14
    change = {"offsets": [{"partition": partition, "offset": {"position": 4}}]}
    error(worker.call("PATCH", f"/connectors/{name}/offsets", change), 400, "stop")
    assert worker.put(f"/connectors/{name}/stop").status == 204
    worker.wait_for_states(name, "STOPPED")
    answer = worker.call("PATCH", f"/connectors/{name}/offsets", change)
    assert answer.status == 200 and "altered successfully" in answer.body["message"], answer
    assert offsets()["offsets"] == change["offsets"]
    error(worker.call("PATCH", f"/connectors/{name}/offsets", {"offsets": []}), 400)
    answer = worker.call("DELETE", f"/connectors/{name}/offsets")
    assert answer.status == 200 and "reset successfully" in answer.body["message"], answer
    assert all(entry["offset"] is None for entry in offsets()["offsets"]), "Connect still lists a reset partition, as null"


def test_sink_offsets_are_the_consumer_groups(worker, broker, source, unique, scratch):
    import admin
    topic, name, out = source[3], unique("sink"), scratch / "out.txt"
    assert worker.create(name, connect.file_sink(out, topic)).body["type"] == "sink"
    levada.wait_for(lambda: out.exists() and out.read_text() == "one\ntwo\nthree\n", 60, "the sink has written the lines")
    levada.wait_for(lambda: admin.committed(broker.bootstrap, f"connect-{name}", topic) == {0: 3}, 90, "the group's offset is committed")
    wanted = {"offsets": [{"partition": {"kafka_topic": topic, "kafka_partition": 0}, "offset": {"kafka_offset": 3}}]}
    levada.wait_for(lambda: worker.get(f"/connectors/{name}/offsets").body == wanted, 30, "the offsets endpoint shows it")
    worker.put(f"/connectors/{name}/stop")
    worker.wait_for_states(name, "STOPPED")
    wanted["offsets"][0]["offset"]["kafka_offset"] = 1
    answer = worker.call("PATCH", f"/connectors/{name}/offsets", wanted)
    assert answer.status == 200, answer
    worker.put(f"/connectors/{name}/resume")
    levada.wait_for(lambda: out.read_text() == "one\ntwo\nthree\ntwo\nthree\n", 60, "the altered offset is where the sink goes on")
    worker.delete(name)


def test_plugins_are_listed_and_described(worker):
    plugins = worker.get("/connector-plugins").body
    assert all(list(p)[:2] == ["class", "type"] and p["type"] in ("source", "sink") for p in plugins)
    classes = {p["class"]: p["type"] for p in plugins}
    assert classes["org.apache.kafka.connect.file.FileStreamSourceConnector"] == "source"
    assert classes["org.apache.kafka.connect.file.FileStreamSinkConnector"] == "sink"
    every = {(p["class"], p["type"]) for p in worker.get("/connector-plugins?connectorsOnly=false").body}
    assert {(connect.STRING, "converter"), (connect.JSON, "converter")} <= every
    definitions = {d["name"]: d for d in worker.get("/connector-plugins/FileStreamSource/config").body}
    assert definitions["topic"]["type"] in ("LIST", "STRING") and definitions["topic"]["required"] is True
    assert definitions["batch.size"]["default_value"] == "2000"
    error(worker.get("/connector-plugins/NoSuchPlugin/config"), 404)


@pytest.mark.parametrize("plugin", ["FileStreamSource", "FileStreamSourceConnector", "org.apache.kafka.connect.file.FileStreamSourceConnector"])
def test_validate_names_every_error_at_once(worker, plugin):
    path = f"/connector-plugins/{plugin}/config/validate"
    config = {"connector.class": plugin, "name": "v", "file": "/x", "tasks.max": "many", "batch.size": "big"}
    answer = worker.put(path, config)
    assert answer.status == 200, answer
    assert list(answer.body) == ["name", "error_count", "groups", "configs"]
    errors = {c["value"]["name"]: c["value"]["errors"] for c in answer.body["configs"] if c["value"]["errors"]}
    assert {"topic", "tasks.max", "batch.size"} <= set(errors), errors
    assert answer.body["error_count"] >= 3
    assert {"Common", "Transforms", "Predicates", "Error Handling"} <= set(answer.body["groups"])
    entry = answer.body["configs"][0]
    assert list(entry) == ["definition", "value"]
    assert list(entry["value"]) == ["name", "value", "recommended_values", "errors", "visible"]
    assert {"name", "type", "required", "default_value", "importance", "documentation", "group", "order_in_group", "width",
            "display_name", "dependents"} <= set(entry["definition"])
    good = {"connector.class": plugin, "name": "v", "file": "/x", "topic": "t", "tasks.max": "1"}
    assert worker.put(path, good).body["error_count"] == 0
    error(worker.put(path, {**good, "connector.class": "FileStreamSink"}), 400)


BAD_CONFIGS = {
    "no class": ({"topic": "t"}, "contains no connector type"),
    "unknown class": ({"connector.class": "com.example.Nothing", "topic": "t"},
                      "Failed to find any class that implements Connector and which name matches com.example.Nothing"),
    "tasks.max is no number": ({"connector.class": "FileStreamSource", "topic": "t", "tasks.max": "abc"}, "tasks.max"),
    "tasks.max is zero": ({"connector.class": "FileStreamSource", "topic": "t", "tasks.max": "0"}, "tasks.max"),
    "missing topic": ({"connector.class": "FileStreamSource", "file": "x"}, "topic"),
    "batch.size is no number": ({"connector.class": "FileStreamSource", "topic": "t", "batch.size": "x"}, "batch.size"),
    "topics and topics.regex": ({"connector.class": "FileStreamSink", "topics": "a", "topics.regex": "b"}, "topics.regex"),
    "neither topics nor topics.regex": ({"connector.class": "FileStreamSink", "file": "x"}, "topics.regex"),
    "unknown converter": ({"connector.class": "FileStreamSource", "topic": "t", "value.converter": "no.Such"}, "value.converter"),
    "other name inside": ({"connector.class": "FileStreamSource", "topic": "t", "name": "other"},
                          "Connector name configuration (other) doesn't match connector name in the URL"),
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_bad_config_is_refused_with_its_cause(worker, unique, case):
    config, text = BAD_CONFIGS[case]
    name = unique("bad")
    error(worker.create(name, config), 400, text)
    assert worker.get(f"/connectors/{name}").status == 404


def test_an_invalid_config_text_counts_the_errors_and_names_the_endpoint(worker, unique):
    answer = worker.create(unique("bad"), {"connector.class": "FileStreamSource", "tasks.max": "0"})
    error(answer, 400, "Connector configuration is invalid and contains the following 2 error(s):", "`/connector-plugins/")


@pytest.mark.parametrize(("case", "raw"), [
    ("not JSON", b"{name: x"), ("an array", b"[]"), ("cut off", b'{"name": "x", "config": {'), ("empty", b""),
    ("unknown field", b'{"name": "x", "config": {}, "more": 1}'), ("bad initial_state", b'{"name": "x", "config": {}, "initial_state": "ASLEEP"}'),
    ("nested value", b'{"name": "x", "config": {"a": {"b": 1}}}'), ("no config", b'{"name": "x"}'), ("no UTF-8", b'{"name": "\xff\xfe"}')])
def test_an_unreadable_body_is_400(worker, broker, case, raw):
    answer = worker.call("POST", "/connectors", raw=raw)
    if broker.owned:
        error(answer, 400)
    else:
        assert answer.status in (400, 500), answer  # Apache Connect passes its parser's exception on


def test_no_name_or_an_empty_one_is_400(worker):
    config = {"connector.class": "FileStreamSource", "topic": "t"}
    error(worker.call("POST", "/connectors", {"config": config}), 400, "String may not be empty")
    error(worker.create("", config), 400, "String may not be empty")
    error(worker.create("be\u0007ll", config), 400)


def test_wrong_content_type_is_415_and_unknown_paths_and_methods_404_and_405(worker):
    error(worker.call("POST", "/connectors", raw=b"{}", headers={"Content-Type": "text/plain"}), 415, "HTTP 415 Unsupported Media Type")
    error(worker.call("PUT", "/connectors/x/config", raw=b"{}", headers={"Content-Type": "text/xml"}), 415, "HTTP 415 Unsupported Media Type")
    error(worker.get("/no/such/path"), 404, "HTTP 404 Not Found")
    error(worker.call("DELETE", "/connectors"), 405, "HTTP 405 Method Not Allowed")
    error(worker.call("PUT", "/connectors"), 405, "HTTP 405 Method Not Allowed")
    error(worker.call("POST", "/connectors/x/pause"), 405, "HTTP 405 Method Not Allowed")


@pytest.mark.parametrize("strange", ["with space", "slash/inside", "100% sure", "žluťoučký 名前", "a+b&c=d?e#f", "dots..", "'quote\""])
def test_strange_names_round_trip_through_the_path(worker, broker, unique, scratch, strange):
    if not broker.owned and ("/" in strange or "%" in strange):
        pytest.skip("Apache Connect's HTTP server refuses an encoded slash or percent sign in a path")
    name = f"{unique('n')} {strange}"
    answer = worker.create(name, connect.file_source(scratch / "absent.txt", unique("t")))
    assert answer.status == 201 and answer.body["name"] == name, answer
    assert name in worker.get("/connectors").body
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    assert worker.get(f"/connectors/{quoted(name)}").body["name"] == name
    assert worker.get(f"/connectors/{quoted(name)}/tasks/0/status").status == 200
    assert worker.put(f"/connectors/{quoted(name)}/pause").status == 202
    worker.wait_for_states(name, "PAUSED", "PAUSED")
    assert worker.delete(name).status == 204
    assert worker.get(f"/connectors/{quoted(name)}").status == 404


def test_names_are_trimmed_on_create(worker, unique, scratch):
    name = unique("trim")
    assert worker.create(f"  {name} ", connect.file_source(scratch / "absent.txt", unique("t"))).body["name"] == name
    assert worker.delete(name).status == 204


def test_loggers(worker):
    listed = worker.get("/admin/loggers")
    assert listed.status == 200
    root = worker.get("/admin/loggers/root").body
    assert list(root) == ["level", "last_modified"] and root["last_modified"] is None
    error(worker.put("/admin/loggers/root", {"level": "LOUD"}), 404, "invalid log level 'LOUD'.")
    error(worker.put("/admin/loggers/root", {}), 400)
    error(worker.get("/admin/loggers/no.such.logger"), 404, "Logger no.such.logger not found.")
