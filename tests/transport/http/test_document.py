"""The OpenAPI document: complete, true to the contract, and checked by schemathesis."""

import asyncio
import json
import re
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from protos.openapi.comments import comments, reasons
from protos.openapi.document import document
from protos.openapi.page import page
from service.transport.http.docs import OPENAPI_JSON
from service.transport.http.routes import METHODS, ROUTES
from service.transport.status import STATUS
from tests.support import sharing
from tests.support.running import Running
from tests.transport.http.edge import LONG, Edge

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

# no generated body holds working credentials, so not every valid one is accepted

SCHEMATHESIS = """
headers = { x-api-key = "${POSTCORE_API_KEY}" }
color = false
warnings = false

[generation]
max-examples = 15
deterministic = true

[checks]
positive_data_acceptance.enabled = false
not_a_server_error.expected-statuses = ["2xx", "4xx", "501"]
"""
ALL_ERRORS = {status.name: status.http for status in STATUS.values()}


async def test_it_is_served_without_a_key(edge: Edge) -> None:
    """The response is the generated file, byte for byte."""
    del edge.client.headers["x-api-key"]
    response = await edge.ask("GET", "/openapi.json")
    assert response.content == OPENAPI_JSON.read_bytes()
    assert response.headers["content-type"] == "application/json"


def test_the_generated_files_are_fresh() -> None:
    """They are what the contract, the routes and the statuses yield now."""
    built = document()
    assert OPENAPI_JSON.read_text("utf-8") == json.dumps(built, ensure_ascii=False)
    assert OPENAPI_JSON.with_suffix(".html").read_text("utf-8") == page(built)


def test_every_route_is_described_as_in_the_contract() -> None:
    """Each has its summary, the parameters of its path, and all reasons for failure."""
    paths = document()["paths"]
    for route in ROUTES:
        operation = paths[route.path][route.verb.lower()]
        assert operation["operationId"] == route.method
        comment = comments()[METHODS[route.method].full_name]
        assert comment.startswith(operation["summary"].replace("`", "")[:20])
        assert "Fails with" not in operation["description"]
        in_path = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", route.path))
        described = {
            name: int(status)
            for status, answer in operation["responses"].items()
            if status.isdigit() and int(status) >= 400
            for name in answer["content"]["application/json"]["schema"]["properties"]["error"][
                "enum"
            ]
        }
        assert len(reasons(comment)) >= 7
        assert set(described) >= set(reasons(comment))
        assert described.items() <= ALL_ERRORS.items()


def test_the_page_lists_the_routes() -> None:
    """docs/http.md has each route with its status; docs/errors.md the reasons."""
    page = (Path(__file__).parents[3] / "docs/http.md").read_text()
    for route in ROUTES:
        assert f"| `{route.verb} {route.path}` | {route.status} |" in page


def test_all_of_the_contract_is_commented() -> None:
    """Every method, message and field has a comment under its full name."""
    described = [
        name
        for method in METHODS.values()
        for message in (method.input_type, method.output_type)
        for name in (
            method.full_name,
            message.full_name,
            *(one.full_name for one in message.fields),
        )
    ]
    assert [name for name in described if not comments().get(name)] == []


def test_fields_have_their_json_names() -> None:
    """The descriptions use them, too."""
    assert re.findall(r"`[a-z]+_[a-z_]+`", json.dumps(document())) == []


def test_every_reference_resolves() -> None:
    """Every schema is a valid JSON Schema."""
    whole = document()
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(whole))):
        found = whole
        for part in reference.split("/"):
            found = found[part]
        assert found
    for schema in whole["components"]["schemas"].values():
        jsonschema_rs.meta.validate(
            {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        )


@pytest.mark.process
async def test_schemathesis_finds_no_fault(sandboxed: Running, tmp_path: Path) -> None:
    """The replies to its valid and invalid requests all conform to the document."""
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS)
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        "schemathesis.toml",
        "run",
        f"http://{sandboxed.http}/openapi.json",
        cwd=tmp_path,
        env={"POSTCORE_API_KEY": sandboxed.api_key, "HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LONG * 2):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert "No issues found" in out.decode()
