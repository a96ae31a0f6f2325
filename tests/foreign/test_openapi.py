"""openapi.yaml against the running server, both ways: every answer of a scenario is documented and has the documented
form, and every documented path, method and status (but those marked x-not-provoked) came up in the scenario."""
import re

import jsonschema
import pytest
import yaml

import connect
import levada

DOCUMENT = yaml.safe_load((levada.ROOT / "openapi.yaml").read_text())
METHODS = {"get", "put", "post", "patch", "delete"}


def resolved(node):
    """Follows a $ref of the document."""
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def operations():
    """(template, method, operation) of the whole document."""
    for template, item in DOCUMENT["paths"].items():
        for method in METHODS & set(item):
            yield template, method, item[method]


TEMPLATES = sorted(DOCUMENT["paths"], key=lambda t: -len(t))
PATTERNS = [(template, re.compile(re.sub(r"\{\w+\}", "[^/]+", template) + "$")) for template in TEMPLATES]


class Recorder(connect.Connect):
    """Checks each answer against the document and remembers what came up."""

    def __init__(self, url):
        super().__init__(url)
        self.seen = set()

    def call(self, method, path, body=None, raw=None, headers=None, timeout=100):
        data_headers = headers
        answer = super().call(method, path, body, raw, data_headers, timeout) if path != "/metrics" else self._text(method, path)
        template = next(t for t, pattern in PATTERNS if pattern.match(path.split("?")[0]))
        operation = DOCUMENT["paths"][template][method.lower()]
        status = str(answer.status)
        assert status in operation["responses"], f"{method} {path}: {answer} is not documented"
        self._check(operation["responses"][status], answer, f"{method} {path}")
        self.seen.add((template, method.lower(), status))
        return answer

    def _text(self, method, path):
        response = self._session.request(method, self.url + path, timeout=30)
        answer = object.__new__(connect.Answer)
        answer.status, answer.headers, answer.text, answer.body = response.status_code, response.headers, response.text, response.text
        return answer

    @staticmethod
    def _check(response, answer, what):
        content = resolved(response).get("content")
        if content is None:
            assert answer.text == "", f"{what}: a body where none is documented: {answer.text[:200]}"
            return
        ((media, described),) = content.items()
        if answer.status < 400:
            assert answer.headers["Content-Type"].split(";")[0] == media, f"{what}: {answer.headers['Content-Type']}"
        schema = {**described["schema"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.body)


def test_every_reference_and_operation_is_sound():
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for template, _, operation in operations():
        item = DOCUMENT["paths"][template]
        named = {resolved(p)["name"] for p in item.get("parameters", []) + operation.get("parameters", []) if resolved(p)["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", template)), template
        for response in operation["responses"].values():
            assert resolved(response)["description"]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema), name


def test_the_server_answers_as_documented_and_the_document_says_no_more(broker, rest, unique, scratch):
    if not broker.owned:
        pytest.skip("the document describes Levada")
    worker, name, path, topic = Recorder(rest), unique("openapi"), scratch / "in.txt", unique("openapi")
    path.write_text("one\ntwo\n")
    config = connect.file_source(path, topic)
    for get in ("/", "/health", "/health/live", "/health/ready", "/metrics", "/admin/loggers", "/admin/loggers/root", "/v1/routes", "/v1/plugins", "/v1/connectors", "/connectors", "/connector-plugins", "/connector-plugins?connectorsOnly=false"):
        assert worker.get(get).status == 200
    assert worker.create(name, config).status == 201
    assert worker.create(name, config).status == 409
    assert worker.create(unique("bad"), {"connector.class": "none"}).status == 400
    assert worker.call("POST", "/connectors", raw=b"x", headers={"Content-Type": "text/plain"}).status == 415
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    base = f"/connectors/{name}"
    for get in ("/connectors?expand=info&expand=status", base, f"{base}/config", f"{base}/status", f"{base}/tasks", f"{base}/tasks/0/status",
                f"{base}/topics", f"{base}/offsets", f"/v1{base}/health", f"/v1{base}/findings", f"/v1{base}/progress", f"/v1{base}/events"):
        assert worker.get(get).status == 200
    assert worker.put(f"{base}/config", {**config, "batch.size": 7}).status == 200
    assert worker.put(f"{base}/config", {**config, "tasks.max": "x"}).status == 400
    assert worker.call("PUT", f"{base}/config", raw=b"x", headers={"Content-Type": "text/plain"}).status == 415
    assert worker.call("PATCH", f"{base}/config", {"batch.size": None}).status == 200
    assert worker.call("PATCH", f"{base}/config", {"tasks.max": "x"}).status == 400
    other = unique("openapi")
    assert worker.put(f"/connectors/{other}/config", config).status == 201
    assert worker.delete(other).status == 204
    assert worker.call("POST", f"{base}/restart").status == 204
    assert worker.call("POST", f"{base}/restart?includeTasks=true").status == 202
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    assert worker.call("POST", f"{base}/tasks/0/restart").status == 204
    for verb, status in (("pause", 202), ("resume", 202)):
        assert worker.put(f"{base}/{verb}").status == status
    levada.wait_for(lambda: worker.get(f"{base}/offsets").body["offsets"], 60, "an offset is committed")
    offsets = worker.get(f"{base}/offsets").body
    assert worker.call("PATCH", f"{base}/offsets", offsets).status == 400
    assert worker.call("DELETE", f"{base}/offsets").status == 400
    tables = {"data-collections": ["public.t"]}
    for path_of, good, bad in (("/snapshot", tables, {}), ("/snapshot/pause", {}, tables)):
        worker.wait_for_states(name, "RUNNING", "RUNNING")
        assert worker.call("POST", f"/v1{base}{path_of}", good).status == 501
        assert worker.call("POST", f"/v1{base}{path_of}", bad).status == 400
    assert worker.put(f"{base}/stop").status == 204
    worker.wait_for_states(name, "STOPPED")
    for path_of, good in (("/snapshot", tables), ("/snapshot/pause", {})):
        assert worker.call("POST", f"/v1{base}{path_of}", good).status == 409
    assert worker.call("PATCH", f"{base}/offsets", offsets).status == 200
    assert worker.call("DELETE", f"{base}/offsets").status == 200
    assert worker.put(f"{base}/topics/reset").status == 202
    assert worker.delete(name).status == 204
    for get in ("health", "findings", "progress", "events"):
        assert worker.get(f"/v1{base}/{get}").status == 404
    for path_of, good in (("/snapshot", tables), ("/snapshot/pause", {})):
        assert worker.call("POST", f"/v1{base}{path_of}", good).status == 404
    logger = "/admin/loggers/levada::rest"
    assert worker.get("/admin/loggers/no.such.logger").status == 404
    assert worker.put(logger, {"level": "DEBUG"}).status == 200
    assert worker.put(f"{logger}?scope=cluster", {"level": "INFO"}).status == 204
    assert worker.put(logger, {}).status == 400
    assert worker.put(logger, {"level": "LOUD"}).status == 404
    for method, path_of, body in (("GET", "", None), ("DELETE", "", None), ("GET", "/config", None), ("PATCH", "/config", {}), ("GET", "/status", None),
                                  ("GET", "/tasks", None), ("GET", "/tasks/0/status", None), ("POST", "/tasks/0/restart", None),
                                  ("POST", "/restart", None), ("PUT", "/pause", None), ("PUT", "/resume", None), ("PUT", "/stop", None),
                                  ("GET", "/offsets", None), ("PATCH", "/offsets", offsets), ("DELETE", "/offsets", None)):
        assert worker.call(method, base + path_of, body).status == 404, (method, path_of)
    plugin = "/connector-plugins/FileStreamSource/config"
    assert worker.get(plugin).status == 200
    assert worker.get("/connector-plugins/Nothing/config").status == 404
    assert worker.get(f"{plugin}?version=9.9.9").status == 400
    assert worker.put(f"{plugin}/validate", {"connector.class": "FileStreamSource"}).status == 200
    assert worker.put(f"{plugin}/validate", {"connector.class": "FileStreamSink"}).status == 400
    assert worker.put(f"/v1{plugin}/validate", {"connector.class": "FileStreamSource"}).status == 200
    assert worker.put(f"/v1{plugin}/validate", {"connector.class": "FileStreamSink"}).status == 400

    documented = {(template, method, status) for template, method, operation in operations()
                  for status, response in operation["responses"].items() if "x-not-provoked" not in response}
    assert documented <= worker.seen, f"documented but not seen: {sorted(documented - worker.seen)}"


def test_every_served_route_is_documented_and_no_other(broker, rest):
    if not broker.owned:
        pytest.skip("the document describes Levada")
    served = {(route["path"], method.lower()) for route in connect.Connect(rest).get("/v1/routes").body for method in route["methods"]}
    assert served == {(template, method) for template, method, _ in operations()}


def test_methods_that_are_not_documented_are_not_served(broker, rest):
    if not broker.owned:
        pytest.skip("the document describes Levada")
    worker = connect.Connect(rest)
    for template, item in DOCUMENT["paths"].items():
        path = re.sub(r"\{task\}", "0", re.sub(r"\{(connector|plugin|logger)\}", "absent", template))
        for method in METHODS - set(item):
            answer = worker.call(method.upper(), path, {} if method in ("put", "post", "patch") else None)
            # POST to tasks is Connect's internal request between workers; it may be refused as such.
            assert answer.status == 405 or template == "/connectors/{connector}/tasks", f"{method} {path}: {answer}"
