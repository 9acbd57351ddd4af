"""Refusals: what each language's user sees of bad input, as the programs print it."""

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from tests.examples.build import Example
from tests.examples.world import world

CASES = {
    "wrong key": "INVALID_API_KEY",
    "refused password": "INVALID_CREDENTIALS",
    "OAuth platform": "USE_GET_FOR_OAUTH",
    "expired deadline": "",
    "message of 64 KiB + 1": "",
    "unknown method": "NOT_IMPLEMENTED",
    "unknown reason": "REASON_OF_TOMORROW",
    "unknown enum value": "",
    "server stops in a watch": "SERVICE_UNAVAILABLE",
}
"""Each with its reason; empty where grpc itself refuses, or nothing does."""
TOMORROW = 99
"""The value of an enum that no caller knows yet."""
DEADLINE_SECONDS = 90.0
MAX_TEXT = 140
"""Characters of an error that the page shows."""


@dataclass(frozen=True)
class Shown:
    """What a program saw: the code by its language's name, the reason, and the printed error."""

    code: str
    reason: str
    text: str


async def _refuse(
    _: pb.ListProfilesRequest,
    context: grpc.aio.ServicerContext[pb.ListProfilesRequest, pb.ListProfilesResponse],
) -> pb.ListProfilesResponse:
    status = status_pb2.Status(code=9, message="Not before tomorrow")
    info = ErrorInfo(reason="REASON_OF_TOMORROW", domain="profiles.postcore.dev")
    status.details.add().Pack(info)
    await context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("not reached")


async def _new_state(_: pb.GetProfileRequest, __: object) -> pb.GetProfileResponse:
    connection = profile_pb2.Connection()
    connection.MergeFromString(bytes([8 << 3, TOMORROW]))  # the field `state`
    return pb.GetProfileResponse(profile=profile_pb2.Profile(connected_platforms=[connection]))


@asynccontextmanager
async def future() -> AsyncIterator[str]:
    """The address of a server of a later version, with a new reason and a new state."""
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "ListProfiles": grpc.unary_unary_rpc_method_handler(
            _refuse, pb.ListProfilesRequest.FromString, pb.ListProfilesResponse.SerializeToString
        ),
        "GetProfile": grpc.unary_unary_rpc_method_handler(
            _new_state, pb.GetProfileRequest.FromString, pb.GetProfileResponse.SerializeToString
        ),
    }
    server = grpc.aio.server()
    service = "postcore.profiles.v1.ProfileService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def shown(examples: Iterable[Example], folder: Path) -> dict[str, dict[str, Shown]]:
    """What each of *examples* prints of each case; the server stops while they watch."""
    async with future() as later:
        return await asyncio.to_thread(_shown, list(examples), folder, later)


def _shown(examples: Sequence[Example], folder: Path, later: str) -> dict[str, dict[str, Shown]]:
    with world(folder) as sandbox, ExitStack() as stack:
        environ = {**sandbox.environ, "POSTCORE_FUTURE_ADDRESS": later}
        processes = []
        for example in examples:
            process = stack.enter_context(example.start("refusals", environ))
            stack.callback(process.kill)
            processes.append(process)
        printed = [_until_watching(process) for process in processes]
        sandbox.server.end(signal.SIGTERM)
        for process, lines in zip(processes, printed, strict=True):
            rest, _ = process.communicate(timeout=DEADLINE_SECONDS)
            lines.extend(rest.splitlines())
            assert process.returncode == 0, lines
    return {
        example.language.name: _parsed(lines)
        for example, lines in zip(examples, printed, strict=True)
    }


def _until_watching(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        if line == "watching\n":
            return lines
        lines.append(line.rstrip("\n"))
    raise AssertionError(lines)


def _parsed(lines: Iterable[str]) -> dict[str, Shown]:
    each = [json.loads(line) for line in lines if line.startswith("{")]
    return {one["case"]: Shown(one["code"], one["reason"], one["text"]) for one in each}


def row(language: str, seen: Shown) -> str:
    """The row of *language* in the table of docs/languages.md."""
    named = f"{seen.code}, `{seen.reason}`" if seen.reason else seen.code
    text = re.sub(r"-?\d+\.\d+ seconds", "… seconds", " ".join(seen.text.split()))
    text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return f"| {language} | {named} | `{text}` |"
