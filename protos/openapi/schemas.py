"""Schemas: the contract's messages as JSON Schema, with their comments."""

import re
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from postcore.profiles.v1 import profile_pb2
from protos.openapi.comments import comments
from service.transport.servicers import SERVICES

Schema = dict[str, Any]
FILES = (profile_pb2.DESCRIPTOR, *(service.file for service in SERVICES))


def reference_to(kind: Descriptor, schemas: dict[str, Schema], *, whole: bool) -> Schema:
    """Return a reference to the schema of *kind*, which is added to *schemas*. *whole*: all fields
    are present, as in replies."""
    if kind.name not in schemas:
        schema: Schema = {
            "type": "object",
            "description": with_json_names(comments()[kind.full_name]),
        }
        schemas[kind.name] = schema
        schema["properties"] = {
            field.json_name: {
                **_property(field, schemas, whole=whole),
                "description": comment_on(field),
            }
            for field in kind.fields
        }
        if whole:
            schema["required"] = [field.json_name for field in kind.fields]
    return {"$ref": f"#/components/schemas/{kind.name}"}


def _property(field: FieldDescriptor, schemas: dict[str, Schema], *, whole: bool) -> Schema:
    schema = type_of(field, schemas, whole=whole)
    if field.is_repeated:
        return {"type": "array", "items": schema}
    if field.GetOptions().debug_redact:
        if not whole:
            schema["writeOnly"] = True
        schema["format"] = "password"
    # in a request null counts as unset
    if field.has_presence and (whole or not field.message_type):
        return _or_null(schema)
    return schema


def _or_null(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def type_of(field: FieldDescriptor, schemas: dict[str, Schema], *, whole: bool = True) -> Schema:
    """Return the schema of one value of *field*; those it refers to are added to *schemas*."""
    if field.enum_type:
        schemas[field.enum_type.name] = _enum(field.enum_type)
        return {"$ref": f"#/components/schemas/{field.enum_type.name}"}
    if field.message_type is None:
        return {
            FieldDescriptor.TYPE_STRING: {"type": "string"},
            FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
            FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
        }[field.type]
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return {"type": "string", "format": "date-time"}
    return reference_to(field.message_type, schemas, whole=whole)


def _enum(kind: EnumDescriptor) -> Schema:
    named = [one for one in kind.values if one.number]  # zero is never sent
    each = "\n".join(
        f"- `{one.name}`: {with_json_names(comments()[f'{kind.full_name}.{one.name}'])}"
        for one in named
    )
    return {
        "type": "string",
        "enum": [one.name for one in named],
        "description": f"{with_json_names(comments()[kind.full_name])}\n\n{each}",
    }


def comment_on(field: FieldDescriptor) -> str:
    return with_json_names(comments()[field.full_name])


@cache
def _json_names() -> dict[str, str]:
    return {
        field.name: field.json_name
        for file in FILES
        for message in file.message_types_by_name.values()
        for field in message.fields
    }


def with_json_names(comment: str) -> str:
    """Return *comment* with the names of fields as in JSON."""
    return re.sub(r"`([a-z_]+)`", lambda name: f"`{_json_names().get(name[1], name[1])}`", comment)
