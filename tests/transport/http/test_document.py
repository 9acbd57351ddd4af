"""The document: whole, true to the contract, and held against the service by schemathesis."""

import asyncio
import json
import re
import sys
from pathlib import Path

import jsonschema_rs

from service.transport.http.comments import comments, reasons
from service.transport.http.openapi import document
from service.transport.http.routes import METHODS, ROUTES
from service.transport.status import STATUS
from tests.support.running import Running
from tests.transport.http.edge import LONG, Edge

# no body that it could make up would log in anywhere, so not every good one is accepted
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


async def test_it_is_served_as_it_is(edge: Edge) -> None:
    """Without a key, as JSON."""
    del edge.client.headers["x-api-key"]
    assert (await edge.ask("GET", "/openapi.json")).json() == document()


def test_every_route_is_described_as_the_contract_says() -> None:
    """With its summary, every parameter of its path, and all the reasons it can fail with."""
    paths = document()["paths"]
    for route in ROUTES:
        operation = paths[route.path][route.verb.lower()]
        assert operation["operationId"] == route.method
        comment = comments()[METHODS[route.method].full_name]
        assert comment.startswith(operation["summary"].replace("`", "")[:20])
        assert "Fails with" not in operation["description"]
        in_path = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", route.path))
        told = {
            name: int(status)
            for status, answer in operation["responses"].items()
            if status.isdigit() and int(status) >= 400
            for name in answer["content"]["application/json"]["schema"]["properties"]["error"][
                "enum"
            ]
        }
        assert len(reasons(comment)) >= 7
        assert set(told) >= set(reasons(comment))
        assert told.items() <= ALL_ERRORS.items()


def test_the_readme_lists_the_routes_and_the_reasons() -> None:
    """Each route with its status, and each reason of HTTP beside its status."""
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    _, _, http = readme.partition("## The same over HTTP")
    http, _, _ = http.partition("\n## ")
    for route in ROUTES:
        assert f"| `{route.verb} {route.path}` | {route.status} |" in http
    unserved = {"NEEDS_RECONNECT", "CURSOR_EXPIRED"}  # of leases and watches
    for status in set(STATUS.values()):
        [row] = [row for row in http.splitlines() if f"`{status.name}`" in row] or [""]
        assert (str(status.http) in row.split("|")[1:2][0]) if row else status.name in unserved


def test_all_of_the_contract_is_commented() -> None:
    """Comments are found by the full names of what they stand at."""
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


def test_names_of_fields_are_those_of_json() -> None:
    """Also in prose."""
    assert re.findall(r"`[a-z]+_[a-z_]+`", json.dumps(document())) == []


def test_every_reference_leads_somewhere() -> None:
    """And every schema is one."""
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


async def test_schemathesis_finds_no_fault(sandboxed: Running, tmp_path: Path) -> None:
    """Whatever it makes of the document, good requests and bad ones, each reply is in it."""
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
