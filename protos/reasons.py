"""Write reasons.json into a folder: python -m protos.reasons FOLDER

What a client needs to explain a refusal in words, in any language: each reason with its codes, its
meaning, its metadata and whether a retry may help, from the contract's comments.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import EnumDescriptor

from postcore.profiles.v1 import error_reason_pb2, profile_pb2
from protos.openapi.comments import comments, first_sentence
from service.transport.status import DOMAIN, STATUS

RETRIES = {
    "never": "NEVER",
    "after RetryInfo": "AFTER_RETRY_INFO",
    "with the same idempotency key": "SAME_IDEMPOTENCY_KEY",
}
ENUMS: dict[str, EnumDescriptor] = {
    **error_reason_pb2.DESCRIPTOR.enum_types_by_name,
    **profile_pb2.DESCRIPTOR.enum_types_by_name,
}


def document() -> dict[str, Any]:
    """Return the domain, and every reason by its name, in the contract's order."""
    statuses = {status.name: status for status in STATUS.values()}
    reasons = {}
    for name, comment in _values(ENUMS["ErrorReason"]):
        status = statuses[name]
        reasons[name] = {
            "grpc": None if "(over HTTP only)" in comment else status.code.name,
            "http": status.http,
            "meaning": first_sentence(comment),
            "retry": RETRIES[_paragraph(comment, "Retry").removesuffix(".")],
            "metadata": _metadata(_paragraph(comment, "Metadata")),
        }
    return {"domain": DOMAIN, "reasons": reasons}


def _values(enum: EnumDescriptor) -> list[tuple[str, str]]:
    """Return the name without prefix, and the comment on one line, of each value but zero."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return [
        (value.name.removeprefix(prefix), comments()[f"{enum.full_name}.{value.name}"])
        for value in enum.values
        if value.number
    ]


def _paragraph(comment: str, title: str) -> str:
    [found] = re.findall(rf"^{title}: (.+?)(?:\n\n|\Z)", comment, re.MULTILINE | re.DOTALL)
    return " ".join(found.split())


def _metadata(text: str) -> dict[str, dict[str, Any]]:
    """Return what each key holds; `values` where it is the name of an enum's value."""
    found: dict[str, dict[str, Any]] = {}
    for key, meaning in re.findall(r"`(\w+)`, (.+?)(?=; `\w+`, |\. |\.$)", text):
        found[key] = {"meaning": meaning}
        if enum := re.search(r"the name of a value of (\w+) without its prefix", meaning):
            found[key]["values"] = {
                value: first_sentence(comment) for value, comment in _values(ENUMS[enum[1]])
            }
    return found


if __name__ == "__main__":
    written = json.dumps(document(), ensure_ascii=False, indent=1)
    (Path(sys.argv[1]) / "reasons.json").write_text(f"{written}\n", "utf-8")
