"""Failure: a refused call in words, with an exit code by its kind."""

import json
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import click
import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from postcore.profiles.v1 import error_reason_pb2

REASONS_JSON = Path(error_reason_pb2.__file__).with_name("reasons.json")
Code = grpc.StatusCode


class Kind(IntEnum):
    """What a caller can do about a failure: the exit code. 2 is click's own for wrong usage."""

    OTHER = 1
    INPUT = 2
    API_KEY = 3
    ACCOUNT = 4
    NOT_FOUND = 5
    LIMIT = 6
    UNAVAILABLE = 7


KINDS = {
    Code.INVALID_ARGUMENT: Kind.INPUT,
    Code.ALREADY_EXISTS: Kind.INPUT,
    Code.OUT_OF_RANGE: Kind.INPUT,
    Code.UNAUTHENTICATED: Kind.API_KEY,
    Code.PERMISSION_DENIED: Kind.API_KEY,
    Code.FAILED_PRECONDITION: Kind.ACCOUNT,
    Code.NOT_FOUND: Kind.NOT_FOUND,
    Code.RESOURCE_EXHAUSTED: Kind.LIMIT,
    Code.UNAVAILABLE: Kind.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: Kind.UNAVAILABLE,
}
"""By code, so that a reason of a newer contract has its kind too."""
KINDS_BY_REASON = {"INVALID_CREDENTIALS": Kind.ACCOUNT}
"""Where one code has two kinds."""


class Failure(click.ClickException):
    """Ends the command: *lines* on standard error, and the exit code of *kind*."""

    def __init__(self, kind: Kind, *lines: str) -> None:
        super().__init__("\n  ".join(map(_printable, lines)))
        self.kind = kind
        self.lines = lines

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self.kind

    def with_line(self, line: str) -> "Failure":
        """Return the same with one more *line*."""
        return Failure(self.kind, *self.lines, line)


def failure(error: grpc.aio.AioRpcError) -> Failure:
    """Return *error* in words: its reason, what it carries, and whether a retry helps."""
    known = _known()
    info, details = error_details_pb2.ErrorInfo(), _details(error)
    for detail in details:
        detail.Unpack(info)
    kind = KINDS.get(error.code(), Kind.OTHER)
    if info.domain != known["domain"]:  # from grpc itself, or from a proxy
        retry = "SAME_IDEMPOTENCY_KEY" if error.code() is Code.DEADLINE_EXCEEDED else ""
        return Failure(kind, f"{error.code().name}: {error.details()}", *_advice([], retry))
    reason = known["reasons"].get(info.reason, {})
    return Failure(
        KINDS_BY_REASON.get(info.reason, kind),
        f"{info.reason}: {error.details()}",
        *_metadata(info.metadata, reason.get("metadata", {})),
        *_advice(details, reason.get("retry", "")),
        *_request_id(error),
    )


def _metadata(metadata: Mapping[str, str], known: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(metadata):
        value = metadata[key]
        meaning = known.get(key, {}).get("values", {}).get(value)
        yield f"{key}: {value}" + (f" ({meaning})" if meaning else "")


def _advice(details: list[Any], retry: str) -> Iterator[str]:
    bad, wait, help_ = (
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.Help(),
    )
    for detail in details:
        for kind in (bad, wait, help_):
            detail.Unpack(kind)
    for violation in bad.field_violations:
        yield f"field {violation.field}: {violation.description}"
    if seconds := wait.retry_delay.seconds:
        yield f"retry: in {seconds} s"
    elif retry == "SAME_IDEMPOTENCY_KEY":
        yield "retry: the call may have had its effect; repeat it with its idempotency key"
    elif retry:
        yield "retry: not before something else has changed"
    for link in help_.links:
        yield f"{link.description}: {link.url}"


def _request_id(error: grpc.aio.AioRpcError) -> Iterator[str]:
    for key, value in error.trailing_metadata() or ():
        if key == "x-request-id" and isinstance(value, str):
            yield f"request id: {value}"


def _details(error: grpc.aio.AioRpcError) -> list[Any]:
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the details are of another status: not the service's
        return []
    return list(status.details) if status else []


@cache
def _known() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(REASONS_JSON.read_bytes())
    return known


def _printable(line: str) -> str:
    """Return *line* without what can control a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
