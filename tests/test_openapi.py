"""The contract: valid OpenAPI 3.1, its examples fit its schemas, and every operation has its service function."""
import json
import pathlib
import re
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = pathlib.Path(__file__).resolve().parents[1]
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """As /openapi.json serves it."""
    folder = tmp_path_factory.mktemp("openapi")
    subprocess.run(["/usr/bin/python3", ROOT / "openapi/generate.py", ROOT / "openapi/postrider.yaml", folder], check=True)
    return json.loads((folder / "openapi.json").read_text())


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def follow(document, node):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def test_is_openapi_31(document):
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_has_its_service_function(document):
    declared = set(re.findall(r"^bool (\w+)\(struct call \*c,", "".join(
        p.read_text() for p in (ROOT / "service").rglob("*.h")), re.MULTILINE))
    names = [o["operationId"] for _, o in operations(document) if "operationId" in o]
    assert len(names) == len(set(names)) and len(names) > 40
    assert set(names) <= declared, set(names) - declared


def examples(document):
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            yield name, schema, example
    for name, operation in operations(document):
        content = follow(document, operation.get("requestBody", {})).get("content", {}).get("application/json", {})
        if "example" in content:
            yield name, content["schema"], content["example"]
        for key, example in content.get("examples", {}).items():
            yield f"{name} {key}", content["schema"], example["value"]


def test_examples_fit(document):
    count = 0
    for name, schema, example in examples(document):
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"], **schema}
        errors = list(Draft202012Validator(whole).iter_errors(example))
        assert not errors, f"{name}: {errors[0].message}"
        count += 1
    assert count > 30


def test_every_operation_with_a_body_or_an_object_has_an_example(document):
    for name, operation in operations(document):
        for kind, content in follow(document, operation.get("requestBody", {})).get("content", {}).items():
            assert "example" in content or "examples" in content, f"{name} {kind}"
        good = next(follow(document, r) for s, r in operation["responses"].items() if s[0] in "23")
        for kind, content in good.get("content", {}).items():
            schema = follow(document, content["schema"])
            parts = [follow(document, p) for p in schema.get("allOf", [])]
            assert "example" in content or "examples" in schema or any("examples" in p for p in parts) or \
                schema.get("format") == "binary", f"{name} {kind}"


def test_every_operation_tells_its_errors(document):
    for name, operation in operations(document):
        for status in ("400", "401", "404", "405", "422", "429", "500", "503"):
            assert status in operation["responses"], f"{name} {status}"


def test_every_code_has_a_page():
    codes = set(re.findall(r'^\s*\{ "(\w+)", \d{3}', (ROOT / "api/problem.c").read_text(), re.MULTILINE))
    used = {c for c in re.findall(r'X\(\w+, \d+, "(\w*)"', (ROOT / "base/err.h").read_text()) if c}
    assert used <= codes, used - codes
    assert codes - used == {"invalid_request"}


def test_the_generator_refuses_what_it_cannot_check(tmp_path):
    text = (ROOT / "openapi/postrider.yaml").read_text()
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace("maxProperties: 50", "minProperties: 50", 1))
    run = subprocess.run(["/usr/bin/python3", ROOT / "openapi/generate.py", broken, tmp_path], capture_output=True, text=True)
    assert run.returncode != 0 and "minProperties" in run.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
