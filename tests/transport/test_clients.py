"""Real clients: grpcurl and `buf curl`, with the real Bluesky server and the sandbox."""

import asyncio
import base64
import json
from pathlib import Path

import grpc
import pytest

from tests.support.bluesky import Bluesky, Person
from tests.support.running import Running

SERVICE = "postcore.profiles.v1.ProfileService"


async def run(
    program: Path, *arguments: str, stdin: str = "", key: str = ""
) -> tuple[int, str, str]:
    """Return exit code, output and errors of a client. The key is in its environment, never in
    argv."""
    client = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"POSTCORE_API_KEY": key, "HOME": "/nonexistent"},
    )
    async with asyncio.timeout(30):
        output, errors = await client.communicate(stdin.encode())
    return client.returncode or 0, output.decode(), errors.decode()


def body(person: Person, app_password: str = "") -> str:
    return json.dumps(
        {
            "platform": "bluesky",
            "credentials": {
                "handle": person.handle,
                "appPassword": app_password or person.app_password,
            },
        }
    )


GRPCURL = ("-plaintext", "-emit-defaults", "-expand-headers", "-format-error")
KEY = ("-H", "x-api-key: ${POSTCORE_API_KEY}", "-d", "@")


async def test_grpcurl(service: Running, bluesky: Bluesky, grpcurl: Path) -> None:
    """It lists by reflection without a key, connects, and decodes the reason of an error."""
    address = service.address
    person = await bluesky.person()
    code, output, _ = await run(grpcurl, "-plaintext", address, "list")
    assert code == 0
    assert SERVICE in output.split()
    code, output, _ = await run(grpcurl, "-plaintext", address, "describe", SERVICE)
    assert "rpc ConnectProfile" in output
    call = (*GRPCURL, *KEY, address, f"{SERVICE}/ConnectProfile")
    code, output, errors = await run(grpcurl, *call, stdin=body(person), key=service.api_key)
    assert code == 0, errors
    reply = json.loads(output)
    assert reply == {
        "profileKey": reply["profileKey"],
        "platform": "bluesky",
        "username": person.handle,
    }
    code, output, errors = await run(
        grpcurl, *call, stdin=body(person, "abcd-efgh-ijkl-mnop"), key=service.api_key
    )
    assert code != 0
    details = json.loads(errors)["details"]
    assert details[0]["reason"] == "INVALID_CREDENTIALS"
    assert details[0]["metadata"] == {"platform": "bluesky", "cause": "REJECTED_BY_PLATFORM"}


@pytest.mark.process
async def test_buf_curl(service: Running, bluesky: Bluesky, buf: Path, tmp_path: Path) -> None:
    """It connects by reflection, with the key from standard input, and decodes the reason of an
    error."""
    person = await bluesky.person()
    call = (
        "curl",
        "--protocol",
        "grpc",
        "--http2-prior-knowledge",
        "-H",
        "@-",
        "-d",
        "@-",
        f"http://{service.address}/{SERVICE}/ConnectProfile",
    )
    head = f"x-api-key: {service.api_key}\n\n"
    code, output, errors = await run(buf, *call, stdin=head + body(person))
    assert code == 0, errors
    assert json.loads(output)["username"] == person.handle
    code, output, errors = await run(buf, *call, stdin=head + body(person, "mnop-abcd-efgh-ijkl"))
    assert code != 0
    assert json.loads(errors)["code"] == "unauthenticated"
    details = [base64.b64decode(detail["value"] + "==") for detail in json.loads(errors)["details"]]
    assert any(b"REJECTED_BY_PLATFORM" in detail for detail in details)


async def test_grpcurl_watches(sandboxed: Running, grpcurl: Path) -> None:
    """The first message arrives at once; the caller's deadline ends the call."""
    call = (*GRPCURL, *KEY, "-max-time", "3", sandboxed.address, f"{SERVICE}/WatchConnections")
    _, output, errors = await run(grpcurl, *call, stdin="{}", key=sandboxed.api_key)
    assert json.loads(output)["cursor"]
    assert json.loads(errors)["code"] == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
