"""The OpenAPI 3.1 document, built from the contract, the routes and the statuses."""

import re
from collections.abc import Iterable

from google.protobuf.descriptor import FieldDescriptor

from protos.openapi.comments import comments, first_sentence, reasons, without_reasons
from protos.openapi.schemas import Schema, comment_on, reference_to, type_of, with_json_names
from service import __version__
from service.transport.http.request import IDEMPOTENCY_KEY, query_fields
from service.transport.http.routes import DOCS, DOCUMENT, HEALTH, OAUTH_ENTRANCE, ROUTES, Route
from service.transport.status import STATUS

STATUSES = {status.name: status for status in STATUS.values()}
OF_BODIES = ("INVALID_REQUEST", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
JSON = "application/json"
INTRODUCTION = """\
Connects people's social accounts by credentials, starting with Bluesky.

Every call carries an API key in the header `x-api-key`; it decides the tenant. A refused call has
the body `{"error": REASON, "message": TEXT}`: branch on the reason, and treat one that you do not
know by its HTTP status. The header `x-request-id` of the answer names the call in the service's
logs. Calls have 10 seconds, bodies 64 KiB. Leases and watches are served over gRPC alone.
"""
HEADERS = {
    "x-request-id": ("Names the call in the service's logs.", "string"),
    "retry-after": ("Seconds after which another try may help.", "integer"),
    "x-ratelimit-limit": ("Calls that the API key may make at once.", "integer"),
    "x-ratelimit-remaining": ("How many of them it has left.", "integer"),
    "x-ratelimit-reset": ("When it has all of them again, in Unix seconds.", "integer"),
}


def document() -> Schema:
    """Build the document."""
    schemas: dict[str, Schema] = {}
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route, schemas)
    paths[OAUTH_ENTRANCE]["get"] = _oauth_entrance()
    paths[HEALTH] = {"get": _health()}
    paths[DOCUMENT] = {"get": _open("This document", JSON, {"type": "object"})}
    paths[DOCS] = {"get": _open("This document as a page", "text/html", {"type": "string"})}
    error = _error(STATUSES)
    del error["properties"]["error"]["enum"]  # later versions add values
    schemas["Error"] = {**error, "description": "Why a call failed."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "postcore profiles",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"ApiKey": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "headers": {
                name: {"description": description, "schema": {"type": kind}}
                for name, (description, kind) in HEADERS.items()
            },
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _operation(route: Route, schemas: dict[str, Schema]) -> Schema:
    method = route.contract
    comment = comments()[method.full_name]
    operation: Schema = {
        "operationId": method.name,
        "tags": [method.containing_service.name],
        "summary": with_json_names(first_sentence(comment)),
        "description": with_json_names(without_reasons(comment)),
    }
    if parameters := list(_parameters(route)):
        operation["parameters"] = parameters
    if route.body:
        schema = _request(route, schemas)
        operation["requestBody"] = {
            "required": bool(route.required),
            "content": {JSON: {"schema": schema}},
        }
    refusals = {*reasons(comment), *(OF_BODIES if route.body else ())}
    operation["responses"] = {
        str(route.status): _response("Done.", _reply(route, schemas), _headers()),
        **_refusals(refusals),
    }
    return operation


def _parameters(route: Route) -> Iterable[Schema]:
    for name in re.findall(r"{(\w+)}", route.path):
        field = _field(route, name)
        yield _parameter(name, "path", comment_on(field), type_of(field, {}), required=True)
    for field in query_fields(route):
        yield _parameter(field.json_name, "query", comment_on(field), type_of(field, {}))
    if IDEMPOTENCY_KEY in route.contract.input_type.fields_by_name:
        field = route.contract.input_type.fields_by_name[IDEMPOTENCY_KEY]
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        description = f"{first_sentence(comment_on(field))}. Printable ASCII characters."
        yield _parameter("Idempotency-Key", "header", description, schema)


def _parameter(
    name: str, place: str, description: str, schema: Schema, *, required: bool = False
) -> Schema:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": schema,
    }


def _field(route: Route, json_name: str) -> FieldDescriptor:
    [field] = [field for field in route.contract.input_type.fields if field.json_name == json_name]
    return field


def _request(route: Route, schemas: dict[str, Schema]) -> Schema:
    reference = reference_to(route.contract.input_type, schemas, whole=False)
    name = reference["$ref"].rpartition("/")[2]
    if route.required:
        schemas[name]["required"] = list(route.required)
    return reference


def _reply(route: Route, schemas: dict[str, Schema]) -> Schema:
    if route.message:
        return {
            "type": "object",
            "properties": {"message": {"type": "string", "const": route.message}},
            "required": ["message"],
        }
    whole = route.contract.output_type
    if route.reply_field:
        return type_of(whole.fields_by_name[route.reply_field], schemas)
    return reference_to(whole, schemas, whole=True)


def _refusals(names: Iterable[str]) -> dict[str, Schema]:
    by_status: dict[int, list[str]] = {}
    for name in names:
        by_status.setdefault(STATUSES[name].http, []).append(name)
    responses = {
        str(http): _response(
            "\n".join(f"- `{name}`: {_why(name)}" for name in sorted(by_status[http])),
            _error(sorted(by_status[http])),
            _headers("retry-after" if http in (429, 503) else None),
        )
        for http in sorted(by_status)
    }
    responses["default"] = _response(
        "Any other refusal.", {"$ref": "#/components/schemas/Error"}, _headers(None)
    )
    return responses


def _why(name: str) -> str:
    comment = comments()[f"postcore.profiles.v1.ErrorReason.ERROR_REASON_{name}"]
    return f"{with_json_names(first_sentence(comment))}."


def _error(names: Iterable[str]) -> Schema:
    names = list(names)
    properties: Schema = {
        "error": {"type": "string", "enum": names},
        "message": {"type": "string", "description": "For people; it may change."},
    }
    if any(STATUSES[name].has_retry_after for name in names):
        waits = " or ".join(name for name in names if STATUSES[name].has_retry_after)
        properties["retry_after"] = {
            "type": "integer",
            "minimum": 1,
            "description": f"Seconds to wait. With {waits} alone.",
        }
    return {"type": "object", "properties": properties, "required": ["error", "message"]}


def _response(description: str, schema: Schema, headers: Schema) -> Schema:
    return {"description": description, "headers": headers, "content": {JSON: {"schema": schema}}}


def _headers(more: str | None = None) -> Schema:
    names = [name for name in HEADERS if name != "retry-after" or more]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _oauth_entrance() -> Schema:
    return {
        "operationId": "OAuthEntrance",
        "tags": ["ProfileService"],
        "summary": "The entrance for OAuth platforms, which is not served here",
        "security": [],
        "responses": _refusals(["OAUTH_NOT_AVAILABLE"]),
    }


def _health() -> Schema:
    schema = {
        "type": "object",
        "properties": {"status": {"type": "string", "const": "SERVING"}},
        "required": ["status"],
    }
    operation = _open("Whether the service takes calls", JSON, schema)
    operation["responses"].update(_refusals(["SERVICE_UNAVAILABLE"]))
    return operation


def _open(summary: str, media_type: str, schema: Schema) -> Schema:
    content = {media_type: {"schema": schema}}
    return {
        "summary": summary,
        "tags": ["Service"],
        "security": [],
        "responses": {"200": {"description": "Done.", "content": content}},
    }
