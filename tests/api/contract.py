"""The OpenAPI document as a judge: every JSON answer that a test gets must be as the document says for its route and status.

The document does not depend on the server's options, so that the first server that gives it gives it for all."""

import http.client
import json
import re
import urllib.parse

import jsonschema

OPEN_METHODS = ("get", "post", "put", "delete", "patch", "head", "options")


class Contract:
    document = None
    validators = {}


def load(port, headers):
    """The document, fetched once; None from a server that does not give it (no key)."""
    if Contract.document is None:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            c.request("GET", "/openapi.json", headers=headers)
            r = c.getresponse()
            data = r.read()
            if r.status == 200:
                Contract.document = json.loads(data)
        finally:
            c.close()
    return Contract.document


def validator(document, schema):
    """A schema may refer to components, so it is put beside them."""
    key = json.dumps(schema, sort_keys=True)
    if key not in Contract.validators:
        Contract.validators[key] = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    return Contract.validators[key]


def operation(document, method, path):
    """What the document says of this request; None if there is no such route."""
    path = urllib.parse.urlsplit(path).path
    method = "get" if method == "HEAD" else method.lower()
    for template, item in document["paths"].items():
        if re.fullmatch(re.escape(template).replace(re.escape("{id}"), ".+"), path):
            return item.get(method)
    return None


def check(document, method, path, status, headers, body):
    kind = headers.get("content-type", "").split(";")[0]
    assert headers.get("x-request-id"), headers
    assert method == "HEAD" or status < 400 or kind == "application/json", (status, kind)
    spec = operation(document, method, path)
    if spec is None:
        assert status in (400, 401, 404, 405, 408, 413, 417, 431, 500, 503), (method, path, status)
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    else:
        assert str(status) in spec["responses"], "%s %s: the document knows no %d" % (method, path, status)
        content = spec["responses"][str(status)]["content"]
    assert kind in content, (method, path, status, kind)
    if method == "HEAD":
        assert body == b""
    elif kind == "application/json":
        validator(document, content[kind]["schema"]).validate(json.loads(body))
    elif kind == "text/event-stream":
        check_events(document, content[kind]["schema"]["x-event"], body)


def check_events(document, schema, body):
    """Each event is one of the route's, or, as the last, an error."""
    events = re.findall(rb"^data: (\{.*\})$", body, re.M)
    for i, event in enumerate(json.loads(e) for e in events):
        error = "error" in event and i == len(events) - 1
        validator(document, {"$ref": "#/components/schemas/Error"} if error else schema).validate(event)
