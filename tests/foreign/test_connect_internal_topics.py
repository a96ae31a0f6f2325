"""The three internal topics in Kafka Connect's own record formats, read by a foreign consumer: other people's tools do that."""
import json

import pytest

import admin
import connect
import levada

CONFIGS, OFFSETS, STATUS = "connect-configs", "connect-offsets", "connect-status"


@pytest.fixture
def worker(rest):
    return connect.Connect(rest)


def records(broker, topic, about):
    """(key text, parsed value or None) of the records whose key names the connector, in order within each partition."""
    found = []
    for message in admin.read_all(broker.bootstrap, topic):
        key = message.key().decode()
        if about in key:
            found.append((key, json.loads(message.value()) if message.value() is not None else None))
    return found


def latest(broker, topic, about):
    return dict(records(broker, topic, about))


def test_configs_status_and_offsets_are_in_connects_formats(broker, worker, unique, scratch):
    name, topic, path = unique("internal"), unique("lines"), scratch / "in.txt"
    path.write_text("one\ntwo\nthree\n")
    config = connect.file_source(path, topic)
    assert worker.create(name, config).status == 201
    worker.wait_for_states(name, "RUNNING", "RUNNING")

    keys = [key for key, _ in records(broker, CONFIGS, name)]
    order = [keys.index(key) for key in (f"connector-{name}", f"task-{name}-0", f"commit-{name}")]
    assert order == sorted(order), f"connector, then tasks, then their commit: {keys}"
    configs = latest(broker, CONFIGS, name)
    assert configs[f"connector-{name}"] == {"properties": {**config, "name": name}}
    task = configs[f"task-{name}-0"]["properties"]
    assert task["topic"] == topic and task["task.class"]
    assert configs[f"commit-{name}"] == {"tasks": 1}

    def status():
        found = latest(broker, STATUS, name)
        return found if {f"status-connector-{name}", f"status-task-{name}-0", f"status-topic-{topic}:connector-{name}"} <= set(found) else None

    found = levada.wait_for(status, 60, "all three kinds of status records are there")
    for key in (f"status-connector-{name}", f"status-task-{name}-0"):
        assert {"state", "trace", "worker_id", "generation"} <= set(found[key]), found[key]
        assert found[key]["state"] == "RUNNING" and found[key]["trace"] is None and isinstance(found[key]["generation"], int)
    tracked = found[f"status-topic-{topic}:connector-{name}"]["topic"]
    assert {"name", "connector", "task", "discoverTimestamp"} == set(tracked)
    assert (tracked["name"], tracked["connector"], tracked["task"]) == (topic, name, 0)

    key = json.dumps([name, {"filename": str(path)}], separators=(",", ":"), ensure_ascii=False)
    offset = levada.wait_for(lambda: latest(broker, OFFSETS, name).get(key), 90, f"an offset under the key {key}")
    assert offset["position"] == 14

    worker.put(f"/connectors/{name}/pause")
    worker.wait_for_states(name, "PAUSED", "PAUSED")
    assert latest(broker, CONFIGS, name)[f"target-state-{name}"] == {"state": "PAUSED", "state.v2": "PAUSED"}
    worker.put(f"/connectors/{name}/stop")
    worker.wait_for_states(name, "STOPPED")
    configs = latest(broker, CONFIGS, name)
    assert configs[f"target-state-{name}"] == {"state": "PAUSED", "state.v2": "STOPPED"}
    assert configs[f"commit-{name}"] == {"tasks": 0}
    assert worker.delete(name).status == 204
    levada.wait_for(lambda: latest(broker, STATUS, name)[f"status-connector-{name}"] is None, 60, "the status has its tombstone")
    configs = latest(broker, CONFIGS, name)
    assert configs[f"connector-{name}"] is None and configs[f"target-state-{name}"] is None


def test_the_internal_topics_are_compacted(broker, worker):
    for topic, partitions in ((CONFIGS, 1), (OFFSETS, 25), (STATUS, 5)):
        described = admin.client(broker.bootstrap).list_topics(topic, timeout=30).topics[topic]
        assert described.error is None and len(described.partitions) == partitions, topic
        assert admin.topic_config(broker.bootstrap, topic)["cleanup.policy"] == "compact"
