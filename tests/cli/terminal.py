"""Terminal: runs `postcore client`; and servers of other contracts for it to call."""

import asyncio
import gc
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from click.testing import CliRunner
from google.rpc import status_pb2
from grpc_status import rpc_status

from service.cli.main import cli
from tests.cli.home import COMMAND, Home, Outcome

LOGGED = re.compile(r"\d{4}-\d\d-\d\dT\S+Z ")


class Terminal:
    """Runs `postcore client` in an empty folder, against one service."""

    def __init__(self, folder: Path, address: str, api_key: str) -> None:
        self.folder = folder / "empty"
        self.folder.mkdir()
        self.environ = Home(self.folder).environ(GRPC_ADDRESS=address, API_KEY=api_key)

    async def run(self, *arguments: str, stdin: bytes = b"", **environ: str) -> Outcome:
        """Run a command in this process, and return its outcome."""
        done = await asyncio.to_thread(
            CliRunner().invoke,
            cli,
            ["client", *arguments],
            input=stdin,
            env={**self.environ, **environ},
            prog_name="postcore",
            catch_exceptions=False,
        )
        # the service, which runs in this process, logs to the same stream
        gc.collect()  # what is left of a refused call keeps its connection open
        lines = (line for line in done.stderr.splitlines(True) if not LOGGED.match(line))
        return Outcome(done.exit_code, done.stdout, "".join(lines))

    async def started(
        self, *arguments: str, out: int = subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            "client",
            *arguments,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
        )


@asynccontextmanager
async def answering(
    status: status_pb2.Status | None = None, reply: bytes | None = None
) -> AsyncIterator[str]:
    """Run a server that answers every call with *status* or *reply*, or never; yield where."""

    class Answering(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            if "grpc.health" in details.method:
                return None  # a client takes a server without health for a healthy one

            async def answer(_: bytes, context: Any) -> bytes:
                if status is not None:
                    await context.abort_with_status(rpc_status.to_status(status))
                if reply is None:
                    await asyncio.Event().wait()
                return reply or b""

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Answering(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
