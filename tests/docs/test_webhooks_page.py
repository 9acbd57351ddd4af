"""docs/webhooks.md: its receivers, with the public libraries, verify what the service sends."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postcore.profiles.v1 import webhook_service_pb2 as pb
from tests.docs.page import Page
from tests.support.bluesky import SandboxBluesky
from tests.support.receiver import Message, Receiver
from tests.support.running import running

CODE = {block.kind: block.code for block in Page.read("docs/webhooks.md").blocks() if block.mark}
SECONDS = 90.0
Command = tuple[str | Path, ...]


def of_python(_: Path, folder: Path) -> Command:
    file = folder / "receiver.py"
    file.write_text(CODE["python"])
    return sys.executable, file


def of_typescript(libraries: Path, folder: Path) -> Command:
    """Compile strictly, as an app would."""
    for name in ("package.json", "node_modules"):
        (folder / name).symlink_to(libraries / name)
    (folder / "receiver.ts").write_text(CODE["typescript"])
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck")
    tsc = folder / "node_modules/.bin/tsc"
    subprocess.run([tsc, *options, "receiver.ts"], cwd=folder, check=True, timeout=SECONDS)
    return str(shutil.which("node")), folder / "receiver.js"


def of_go(libraries: Path, folder: Path) -> Command:
    for name in ("go.mod", "go.sum", "vendor"):
        (folder / name).symlink_to(libraries / name)
    (folder / "main.go").write_text(CODE["go"])
    environ = {**os.environ, "GOPROXY": "off", "CGO_ENABLED": "0"}
    command = ["go", "build", "-o", "receiver", "."]
    subprocess.run(command, cwd=folder, env=environ, check=True, timeout=SECONDS)
    return (folder / "receiver",)


@asynccontextmanager
async def started(command: Command, port: int, secret: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run a receiver; yield what it prints, once it takes connections."""
    environ = {**os.environ, "WEBHOOK_SECRET": secret}
    process = await asyncio.create_subprocess_exec(
        *command, str(port), env=environ, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                assert process.returncode is None
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        assert process.stdout
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("prepare", [of_python, of_typescript, of_go])
async def test_a_receiver_verifies_what_is_sent(
    prepare: Callable[[Path, Path], Command],
    webhook_libraries: Path,
    sandbox: SandboxBluesky,
    database: Path,
    tmp_path: Path,
) -> None:
    """A test and an event, also after the secret was rotated; it rejects what was changed."""
    folder = tmp_path / "receiver"
    folder.mkdir()
    command = await asyncio.to_thread(prepare, webhook_libraries, folder)
    async with Receiver.started() as stand_in:  # to learn a free port, and to see what is sent
        port = int(stand_in.origin.rpartition(":")[2])
        given = {**sandbox.settings(), "WEBHOOK_ORIGINS": stand_in.origin}
        async with running(database, given) as service:
            webhook_id, secret = await service.webhook(f"{stand_in.origin}/in")
            metadata = await service.webhook_metadata()
            test = pb.TestWebhookRequest(webhook_id=webhook_id)
            await service.webhooks.TestWebhook(test, metadata=metadata)
            [seen] = await stand_in.until(1)
            await stand_in.stop()
            async with started(command, port, secret) as printed:
                rotate = pb.RotateWebhookSecretRequest(webhook_id=webhook_id)
                await service.webhooks.RotateWebhookSecret(rotate, metadata=metadata)
                reply = await service.webhooks.TestWebhook(test, metadata=metadata)
                assert reply == pb.TestWebhookResponse(delivered=True, http_status=204)
                person = await sandbox.person()
                await service.connect(person.handle, person.app_password)
                lines = [
                    (await asyncio.wait_for(printed.readline(), SECONDS)).decode() for _ in range(2)
                ]
                assert [line.split()[1] for line in lines] == [
                    "webhook.test",
                    "connection.connected",
                ]
                forged = Message(seen.headers, seen.body.replace("webhook.test", "webhook.tes1"))
                assert await forged.sent_to(port) == 400
                assert await seen.sent_to(port) == 204
