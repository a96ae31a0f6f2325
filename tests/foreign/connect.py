"""A thin client of the Connect REST interface: every call keeps status, headers and the order of JSON keys."""
import json
import urllib.parse

import requests

import levada

STRING = "org.apache.kafka.connect.storage.StringConverter"
JSON = "org.apache.kafka.connect.json.JsonConverter"
SETTLE = 60


def quoted(name):
    """A connector name as one path segment."""
    return urllib.parse.quote(name, safe="")


class Answer:
    """Status, parsed body (None when empty) and headers of one answer."""

    def __init__(self, response):
        self.status = response.status_code
        self.headers = response.headers
        self.text = response.text
        self.body = json.loads(response.text) if response.text.strip() else None

    def __repr__(self):
        return f"{self.status} {self.text[:600]}"


class Connect:
    """The worker at `url`."""

    def __init__(self, url):
        self.url = url
        self._session = requests.Session()

    def call(self, method, path, body=None, raw=None, headers=None, timeout=100):
        """`body` is sent as JSON; `raw` bytes are sent as they are."""
        data = json.dumps(body).encode() if body is not None else raw
        sent = {"Content-Type": "application/json"} if data is not None else {}
        sent.update(headers or {})
        return Answer(self._session.request(method, self.url + path, data=data, headers=sent, timeout=timeout))

    def get(self, path):
        return self.call("GET", path)

    def put(self, path, body=None):
        return self.call("PUT", path, body)

    def create(self, name, config, **top):
        return self.call("POST", "/connectors", {"name": name, "config": config, **top})

    def delete(self, name):
        return self.call("DELETE", f"/connectors/{quoted(name)}")

    def states(self, name):
        """(connector state, [task states]); (None, []) while no status is known."""
        answer = self.get(f"/connectors/{quoted(name)}/status")
        if answer.status == 404:
            return None, []
        return answer.body["connector"]["state"], [task["state"] for task in answer.body["tasks"]]

    def wait_for_states(self, name, connector, *tasks, timeout=SETTLE):
        levada.wait_for(lambda: self.states(name) == (connector, list(tasks)), timeout,
                        f"{name} is {connector} with tasks {tasks}")

    def wait_for_stall(self, name, *texts, timeout=SETTLE):
        """Until Levada's derived health names a cause that holds all texts, while Connect's own state stays RUNNING."""
        def stalled():
            answer = self.get(f"/v1/connectors/{quoted(name)}/health")
            if answer.status != 200:
                return False
            causes = "\n".join(answer.body["causes"]).lower()
            return answer.body["health"] == "STALLED" and all(text.lower() in causes for text in texts)

        levada.wait_for(stalled, timeout, lambda: f"{name} is STALLED for {texts}: {self.get(f'/v1/connectors/{quoted(name)}/health')}")

    def wait_for_failure(self, name, timeout=SETTLE):
        """The trace of the first failed task."""
        def trace():
            answer = self.get(f"/connectors/{quoted(name)}/status")
            found = [] if answer.status == 404 else [answer.body["connector"], *answer.body["tasks"]]
            return next((part["trace"] for part in found if part["state"] == "FAILED"), None)

        return levada.wait_for(trace, timeout, f"{name} has a failed task")


def file_source(path, topic, **more):
    """Config of Apache's file source over `path`."""
    return {"connector.class": "FileStreamSource", "tasks.max": "1", "file": str(path), "topic": topic,
            "key.converter": STRING, "value.converter": STRING, **more}


def file_sink(path, topics, **more):
    """Config of Apache's file sink into `path`."""
    return {"connector.class": "FileStreamSink", "tasks.max": "1", "file": str(path), "topics": topics,
            "key.converter": STRING, "value.converter": STRING, **more}


def levada_source(path, topic, **more):
    """Config of Levada's own file source over a path or glob."""
    return {"connector.class": "file-source", "tasks.max": "1", "path": str(path), "topic": topic,
            "key.converter": STRING, "value.converter": STRING, **more}


def levada_sink(path, topics, **more):
    """Config of Levada's own file sink, exactly-once across a crash."""
    return {"connector.class": "file-sink", "tasks.max": "1", "path": str(path), "topics": topics,
            "key.converter": STRING, "value.converter": STRING, **more}
