"""A client of the contract as first released works with today's service, and with a later one."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from postcore.profiles.v1 import profile_pb2
from postcore.profiles.v1 import profile_service_pb2 as pb
from service.domain.model import Scope
from tests.cli.home import DEADLINE
from tests.cli.terminal import answering
from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running

pytestmark = pytest.mark.process
sandbox, sandboxed = sharing.sandbox, sharing.sandboxed
HERE = Path(__file__).parent


async def golden(*arguments: str, stdin: str = "", **keys: str) -> dict[str, Any]:
    """Run the golden client, and return what it saw."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        HERE / "client.py",
        *arguments,
        cwd="/",  # its own folder is on its path, and this checkout is not
        env={**os.environ, "PYTHONPATH": str(HERE), **{f"GOLDEN_{n}": keys[n] for n in keys}},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(3 * DEADLINE):
        out, errors = await process.communicate(stdin.encode())
    assert process.returncode == 0, errors.decode()
    saw: dict[str, Any] = json.loads(out)
    return saw


@pytest.mark.quick
async def test_the_whole_story(sandboxed: Running, sandbox: SandboxBluesky) -> None:
    """Every RPC of the first contract does what it did, and fails with the reasons that it had."""
    person = await sandbox.person()
    leasing, _ = await sandboxed.new_key(Scope.SESSIONS_LEASE)
    saw = await golden(
        "story",
        sandboxed.address,
        stdin=json.dumps({"handle": person.handle, "appPassword": person.app_password}),
        KEY=sandboxed.api_key,
        LEASING_KEY=leasing,
    )
    assert {"bluesky", "linkedin"} <= set(saw["platforms"])
    assert saw["connect"]["username"] == person.handle
    key = saw["connect"]["profileKey"]
    assert saw["watch"] == saw["watch again"]
    assert (saw["watch"]["kind"], saw["watch"]["profileKey"]) == ("KIND_CONNECTED", key)
    assert saw["list"] == [saw["get"]]
    [connection] = saw["get"]["connectedPlatforms"]
    assert connection["accountId"] == person.did
    assert connection["state"] == saw["verify"]["state"] == "CONNECTION_STATE_HEALTHY"
    assert saw["lease"]["accessToken"]
    assert saw["lease"]["unknown"] == [6, 7]  # authorization and lent, which came later
    assert saw["refusals"] == {
        "password": ["UNAUTHENTICATED", "INVALID_CREDENTIALS"],
        "oauth": ["INVALID_ARGUMENT", "USE_GET_FOR_OAUTH"],
        "platform": ["INVALID_ARGUMENT", "UNSUPPORTED_PLATFORM"],
        "new fields": ["INVALID_ARGUMENT", "INVALID_REQUEST"],
        "profile": ["NOT_FOUND", "PROFILE_NOT_FOUND"],
        "no key": ["UNAUTHENTICATED", "MISSING_API_KEY"],
        "key": ["UNAUTHENTICATED", "INVALID_API_KEY"],
        "scope": ["PERMISSION_DENIED", "INSUFFICIENT_SCOPE"],
        "cursor": ["INVALID_ARGUMENT", "INVALID_REQUEST"],
        "size": ["RESOURCE_EXHAUSTED", ""],
        "disconnected": ["NOT_FOUND", "PLATFORM_NOT_CONNECTED"],
    }
    assert saw["left"] == 0


async def test_a_value_that_came_later_is_a_number(
    sandboxed: Running, sandbox: SandboxBluesky
) -> None:
    """PERMISSION_LOST is newer than the client: it reads the rest of the profile as ever."""
    person = await sandbox.person()
    key = (await sandboxed.connect(person.handle, person.app_password)).profile_key
    await sandboxed.execute(
        "UPDATE connections SET state = 'BROKEN', reconnect_reason = 'PERMISSION_LOST'"
        " WHERE profile_key = ?",
        key,
    )
    saw = await golden("get", sandboxed.address, key, KEY=sandboxed.api_key)
    [connection] = saw["connectedPlatforms"]
    assert connection["needsReconnect"] is True
    assert connection["state"] == "CONNECTION_STATE_BROKEN"
    assert connection["reconnectReason"] == profile_pb2.RECONNECT_REASON_PERMISSION_LOST


async def test_fields_values_and_reasons_to_come() -> None:
    """What is not known yet is kept or a number, and a new reason has a code that is known."""
    connection = profile_pb2.Connection(platform="bluesky")
    # numbers that this contract has not given away yet
    connection.MergeFromString(bytes([8 << 3, 99]) + bytes([0xD2, 0x3E, 3]) + b"new")
    profile = profile_pb2.Profile(profile_key="prof_x", connected_platforms=[connection])
    profile.MergeFromString(bytes([0xC0, 0x3E, 7]))
    reply = pb.GetProfileResponse(profile=profile).SerializeToString()
    async with answering(reply=reply) as address:
        saw = await golden("get", address, "prof_x", KEY="key")
    assert (saw["profileKey"], saw["unknown"], saw["kept"]) == ("prof_x", [1000], True)
    assert saw["connectedPlatforms"][0]["state"] == 99
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="TO_COME", domain="profiles.postcore.dev"))
    status = status_pb2.Status(code=9, message="later", details=[detail])
    async with answering(status) as address:
        saw = await golden("get", address, "prof_x", KEY="key")
    assert saw == {"refusal": ["FAILED_PRECONDITION", "TO_COME"]}


@pytest.mark.quick
def test_its_stubs_are_of_the_first_contract() -> None:
    """Each file of the stubs has the descriptor that was released first."""
    image = FileDescriptorSet.FromString((HERE / "contract.binpb").read_bytes())
    first = {file.name: file for file in image.file if file.name.startswith("postcore/")}
    assert len(first) == 5
    for name, file in first.items():
        module = (HERE / f"{name.removesuffix('.proto')}_pb2.py").read_text()
        line = next(one for one in module.splitlines() if "AddSerializedFile" in one)
        literal = line[line.index("b'") : -1]
        assert shape(FileDescriptorProto.FromString(eval(literal))) == shape(file)


def shape(file: FileDescriptorProto) -> set[tuple[object, ...]]:
    """Return what decides the bytes on the wire. The compilers differ in what else they write."""
    found: set[tuple[object, ...]] = set()
    for message in file.message_type:
        for field in message.field:
            found.add((message.name, field.name, field.number, field.type, field.type_name))
    enums = [
        *file.enum_type,
        *(enum for message in file.message_type for enum in message.enum_type),
    ]
    found |= {(enum.name, value.name, value.number) for enum in enums for value in enum.value}
    for service in file.service:
        for method in service.method:
            found.add((service.name, method.name, method.input_type, method.output_type))
    return found
