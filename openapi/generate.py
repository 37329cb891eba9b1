#!/usr/bin/python3
"""Turns openapi/postrider.yaml into what the server is built with.

    generate.py postrider.yaml BUILD_FOLDER

writes BUILD_FOLDER/openapi_tables.h (OPERATION_LIST, for the handlers), openapi_tables.inc (schemas and routes as C
tables, included by api/tables.c) and openapi.json (the document as it is served, also in openapi_tables.inc). What the
contract says and the tables cannot check is an error here, so that nothing is promised and not kept.
"""
import json
import sys
from pathlib import Path

import yaml

TYPES = {"null": "JSON_NULL", "boolean": "JSON_BOOL", "integer": "JSON_INT", "number": "JSON_INT | JSON_NUMBER",
         "string": "JSON_STRING", "array": "JSON_ARRAY", "object": "JSON_OBJECT"}
KNOWN = {"type", "description", "examples", "example", "format", "x-format", "pattern", "minLength", "maxLength", "minItems",
         "maxItems", "minimum", "maximum", "enum", "const", "properties", "required", "additionalProperties", "items",
         "oneOf", "maxProperties", "propertyNames", "default", "writeOnly", "contentEncoding", "summary"}
PARTS = "multipart/form-data"  # the JSON as its part `message`, files as `attachment`: api/form.c
METHODS = ("get", "post", "patch", "put", "delete")


class Tables:
    """Collects the C text of schemas; equal ones are written once."""

    def __init__(self, document):
        self.document = document
        self.lines = []
        self.names = {}
        self.formats = set()

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def emit(self, kind, suffix, body):
        """A constant of its own name, reused for equal text."""
        if body not in self.names:
            name = f"t{len(self.names)}"
            self.names[body] = name
            self.lines.append(f"static {kind} {name}{suffix} = {body};")
        return self.names[body]

    def format_of(self, schema):
        name = schema.get("x-format") or schema.get("format")
        if name in ("binary", None):
            assert "pattern" not in schema, f"a pattern needs an x-format that checks it: {schema}"
            return "FORMAT_NONE"
        self.formats.add(name)
        return "FORMAT_" + name.replace("-", "_")

    def types_of(self, schema):
        if schema.get("x-any"):
            return list(TYPES)
        if "oneOf" in schema:
            return [t for one in schema["oneOf"] for t in self.types_of(self.resolve(one))]
        if "const" in schema:
            return ["string"]
        kind = schema["type"]
        return kind if isinstance(kind, list) else [kind]

    def schema(self, node):
        schema = self.resolve(node)
        if schema.get("x-any"):
            return self.emit("const struct schema", "", "{ .any = true }")
        unknown = set(schema) - KNOWN
        assert not unknown, f"the checker does not know {unknown} of {schema}"
        if "oneOf" in schema:
            return self.one_of(schema)
        fields = {"types": " | ".join(TYPES[t] for t in self.types_of(schema)), "format": self.format_of(schema)}
        self.sizes(schema, fields)
        self.object(schema, fields)
        assert "items" in schema or "array" not in self.types_of(schema), f"an array of a request says what its items are: {schema}"
        if "items" in schema:
            fields["items"] = "&" + self.schema(schema["items"])
        choices = [c for c in schema.get("enum", []) if c is not None]
        if choices:
            fields["choices"] = self.emit("const char *const", "[]", "{ " + "".join(f'"{c}", ' for c in choices) + "NULL }")
        return self.emit("const struct schema", "", "{ " + ", ".join(f".{k} = {v}" for k, v in fields.items()) + " }")

    def sizes(self, schema, fields):
        for name, field in (("minimum", "least"), ("maximum", "most")):
            if name in schema:
                fields[field] = f"INT64_C({schema[name]})"
        if "maximum" not in schema:
            fields["most"] = "INT64_MAX"
        if "minimum" not in schema:
            fields["least"] = "INT64_MIN"
        fields["size_least"] = schema.get("minLength", schema.get("minItems", 0))
        fields["size_most"] = schema.get("maxLength", schema.get("maxItems", schema.get("maxProperties", 0)))
        names = schema.get("propertyNames", {})
        fields["name_least"] = names.get("minLength", 0)
        fields["name_most"] = names.get("maxLength", 0)

    def object(self, schema, fields):
        if "properties" in schema:
            required = schema.get("required", [])
            rows = "".join(f'{{ "{name}", &{self.schema(sub)}, {str(name in required).lower()} }}, '
                           for name, sub in schema["properties"].items())
            fields["properties"] = self.emit("const struct schema_property", "[]", "{ " + rows + "{ NULL, NULL, false } }")
        extra = schema.get("additionalProperties", True)
        if isinstance(extra, dict):
            fields["others"] = "&" + self.schema(extra)
        elif "object" in self.types_of(schema):
            assert extra is False, f"an object of a request says additionalProperties: {schema}"

    def one_of(self, schema):
        """The variants differ by type, so the type of the value picks one."""
        kinds = self.types_of(schema)
        assert len(kinds) == len(set(kinds)), f"variants of one type: {schema}"
        variants = "".join(f"&{self.schema(one)}, " for one in schema["oneOf"])
        name = self.emit("const struct schema *const", "[]", "{ " + variants + "NULL }")
        types = " | ".join(TYPES[t] for t in kinds)
        return self.emit("const struct schema", "", f"{{ .types = {types}, .one_of = {name} }}")


def parameters_of(tables, operation, where):
    rows = ""
    for node in operation.get("parameters", []):
        parameter = tables.resolve(node)
        if parameter["in"] == where:
            rows += (f'{{ "{parameter["name"]}", &{tables.schema(parameter["schema"])}, '
                     f'{str(parameter.get("required", False)).lower()} }}, ')
    return tables.emit("const struct schema_property", "[]", "{ " + rows + "{ NULL, NULL, false } }")


def scopes_of(operation):
    names = [s.upper().replace(":", "_") for s in operation.get("x-scopes", [])]
    return " | ".join("SCOPE_" + s for s in names) or "0"


# A parameter that opens an operation to everybody, and the flag that says so.
OPEN_WHEN = {"api.metrics_open": "ROUTE_METRICS"}


def flags_of(tables, document, operation, method):
    flags = []
    security = operation.get("security", document["security"])
    content = tables.resolve(operation.get("requestBody", {})).get("content", {})
    flags += ["ROUTE_OPEN"] if not security else []
    flags += ["ROUTE_USER"] if any("basic" in s for s in security) else []
    flags += ["ROUTE_JSON"] if "application/json" in content else []
    flags += ["ROUTE_PARTS"] if PARTS in content and not operation.get("x-form") else []
    flags += ["ROUTE_BODY_MAY_LACK"] if content and not tables.resolve(operation["requestBody"]).get("required") else []
    flags += ["ROUTE_STREAM"] if "x-stream" in operation else []
    flags += ["ROUTE_FORM"] if operation.get("x-form") else []
    flags += ["ROUTE_POST"] if method == "post" and not operation.get("x-form") else []
    flags += ["ROUTE_PUBLIC"] if operation.get("x-public") else []
    flags += ["ROUTE_READS"] if operation.get("x-reads") else []
    flags += [OPEN_WHEN[operation["x-open-when"]]] if "x-open-when" in operation else []
    assert "x-stream" not in operation or operation["x-stream"] in content
    assert set(content) <= ({"application/x-www-form-urlencoded", "multipart/form-data"} if operation.get("x-form")
                            else {"application/json", operation.get("x-stream"), PARTS})
    assert "ROUTE_PARTS" not in flags or content[PARTS]["schema"]["properties"]["message"] == content["application/json"]["schema"]
    return " | ".join(flags) or "0"


def route(tables, document, path, method, operation):
    body = tables.resolve(operation.get("requestBody", {})).get("content", {}).get("application/json")
    schema = "&" + tables.schema(body["schema"]) if body else "NULL"
    name = operation.get("operationId") or operation["x-handler"]
    stream = f'"{operation["x-stream"]}"' if "x-stream" in operation else "NULL"
    return (f'    {{ "{method.upper()}", "{path}", api_{name}, "{name}", {scopes_of(operation)}, '
            f'{flags_of(tables, document, operation, method)}, {schema}, {parameters_of(tables, operation, "query")}, '
            f'{parameters_of(tables, operation, "header")}, {stream} }},')


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def c_bytes(data):
    rows = [", ".join(str(b) for b in data[i:i + 32]) for i in range(0, len(data), 32)]
    return ",\n    ".join(rows)


def main():
    document = yaml.safe_load(Path(sys.argv[1]).read_text())
    document.pop("x-common")
    folder = Path(sys.argv[2])
    tables = Tables(document)
    routes = [route(tables, document, *row) for row in operations(document)]
    names = [o.get("operationId") or o["x-handler"] for _, _, o in operations(document)]
    served = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    head = "/* Made by openapi/generate.py from openapi/postrider.yaml. */\n"

    (folder / "openapi.json").write_bytes(served)
    (folder / "openapi_tables.inc").write_text(
        head + "\n".join(tables.lines) + "\n\nconst struct route routes[] = {\n" + "\n".join(routes)
        + f"\n}};\nconst size_t n_routes = {len(routes)};\n\nconst unsigned char openapi_json[] = {{\n    {c_bytes(served)}\n}};\n"
        + f"const size_t openapi_json_size = {len(served)};\n")
    (folder / "openapi_tables.h").write_text(
        head + "#ifndef OPENAPI_TABLES_H\n#define OPENAPI_TABLES_H\n#define OPERATION_LIST(X) \\\n    "
        + " \\\n    ".join(f"X({name})" for name in names) + "\n#define FORMAT_LIST(X) \\\n    "
        + " \\\n    ".join(f"X({name.replace('-', '_')})" for name in sorted(tables.formats)) + "\n#endif\n")


if __name__ == "__main__":
    main()
