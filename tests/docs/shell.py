"""Shell: a started `serve --sandbox`, as `make run` leaves it, and a shell beside it."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.cli.demo import DEFAULTS
from service.crypto.keyring import create_keyring, new_keys
from service.sandbox.remote import Remote
from tests.docs.page import NEW_FOLDER, ROOT, Block

LINKED = ("protos", "generated")
FREE = " ".join(
    f"POSTCORE_{name}_ADDRESS=127.0.0.1:0"
    for name in ("GRPC", "HTTP", "ADMIN", "SANDBOX", "SANDBOX_CONTROL")
)
# `serve` goes on in the background, and what only a user can have stands in for itself
PRELUDE = """
make() { grep -q "^$1:" "$CHECKOUT/Makefile"; }
protoc() { python -m grpc_tools.protoc "$@"; }
postcore() {
  if [ "$1" != serve ]; then command postcore "$@"; return; fi
  command postcore "$@" >ready 2>log &
  echo $! >>"$SERVERS"
  until [ -s ready ]; do kill -0 $! || return; sleep 0.1; done
  cat ready
}
"""


@dataclass
class Printed:
    """What a block has printed, on both streams, and its last exit code."""

    text: str
    code: int


@dataclass
class Shell:
    """A folder with what the pages rely on, and the server that runs in it."""

    home: Path
    environ: dict[str, str]
    addresses: dict[str, str]
    """From what the pages say to where it is."""

    @property
    def grpc(self) -> str:
        return self.addresses["127.0.0.1:50051"]

    @property
    def control(self) -> str:
        return self.addresses["127.0.0.1:2581"]

    @property
    def api_key(self) -> str:
        return self.environ["POSTCORE_API_KEY"]

    def reset(self) -> Remote:
        """Put the sandbox back to its start."""
        remote = Remote(self.control)
        remote.ask("POST", "reset")
        # a platform's own limit on logins, which no setting widens: a reader takes longer
        with closing(sqlite3.connect(self.home / "data/sandbox.db", timeout=10)) as db, db:
            db.execute("DELETE FROM login_debits")
        return remote

    def run(self, *blocks: Block) -> list[Printed]:
        """Run the blocks one after the other in one shell, each new folder's in one of its own."""
        script = PRELUDE
        for number, block in enumerate(blocks):
            code = self._here(block)
            out = f'>"$OUT/{number}" 2>&1; echo $? >"$OUT/{number}.code"'
            if block.mark == NEW_FOLDER:
                script += f"(\ncd $(mktemp -d -p {self.home}) && ln -s $VENV .venv\n"
                script += f"unset {' '.join(DEFAULTS)}\nexport {FREE}\n{{\n{code}\n}} {out}\n)\n"
            else:
                script += f"{{\n{code}\n}} {out}\n"
        out_folder = self.home / "printed"
        shutil.rmtree(out_folder, ignore_errors=True)
        out_folder.mkdir()
        servers = self.home / "servers"
        servers.write_text("")
        environ = {**self.environ, "OUT": str(out_folder), "SERVERS": str(servers)}
        try:
            subprocess.run(
                ["bash", "-c", script],
                cwd=self.home,
                env=environ,
                stdin=subprocess.DEVNULL,
                timeout=100,
                check=True,
            )
        finally:
            for started in servers.read_text().split():
                _end(int(started))
        return [
            Printed((out_folder / f"{n}").read_text(), int((out_folder / f"{n}.code").read_text()))
            for n in range(len(blocks))
        ]

    def _here(self, block: Block) -> str:
        code = block.code
        if block.mark != NEW_FOLDER:
            for shown, real in self.addresses.items():
                code = code.replace(shown, real)
        code = code.replace("pc_live_…", self.api_key).replace(
            "--tenant ID", "--tenant ten_sandbox"
        )
        return (
            f"python - <<'END_OF_BLOCK'\n{code}\nEND_OF_BLOCK" if block.kind == "python" else code
        )


def _end(process: int) -> None:
    """Stop a server that a page has started; it is not a child of this process."""
    subprocess.run(["kill", str(process)], check=False, capture_output=True)


@contextmanager
def started(home: Path, empty_database: Path, grpcurl: Path) -> Iterator[Shell]:
    """What `make run` leaves running, on free ports."""
    (home / "data").mkdir(mode=0o700)
    create_keyring(home / "data/keyring.json", new_keys("test"))
    shutil.copy(empty_database, home / "data/sandbox.db")
    for name in LINKED:
        (home / name).symlink_to(ROOT / name)
    scripts = Path(sys.executable).parent
    environ = {
        **DEFAULTS,
        "HOME": str(home),
        "CHECKOUT": str(ROOT),
        "VENV": str(scripts.parent),
        "PATH": ":".join([str(scripts), str(grpcurl.parent), os.environ["PATH"]]),
        "POSTCORE_LOG_FORMAT": "json",
        "POSTCORE_GRPC_ADDRESS": "127.0.0.1:0",
        "POSTCORE_HTTP_ADDRESS": "127.0.0.1:0",
        "POSTCORE_ADMIN_ADDRESS": "127.0.0.1:0",
        "POSTCORE_SANDBOX_ADDRESS": "127.0.0.1:0",
        "POSTCORE_SANDBOX_CONTROL_ADDRESS": "127.0.0.1:0",
        "POSTCORE_DRAIN_PAUSE_SECONDS": "0",
    }
    with (home / "errors").open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--sandbox"],
            cwd=home,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with server:
        try:
            assert server.stdout
            ready = server.stdout.readline()
            lines = (home / "errors").read_text()
            assert ready.startswith("ready grpc="), lines
            [opened] = [
                json.loads(line) for line in lines.splitlines() if "sandbox is open" in line
            ]
            addresses = dict(part.split("=") for part in ready.split()[1:])
            environ["POSTCORE_GRPC_ADDRESS"] = addresses["grpc"]
            environ["POSTCORE_HTTP_ADDRESS"] = addresses["http"]
            environ["POSTCORE_ADMIN_ADDRESS"] = addresses["admin"]
            environ["POSTCORE_SANDBOX_ADDRESS"] = opened["servers"][0].removeprefix("http://")
            environ["POSTCORE_SANDBOX_CONTROL_ADDRESS"] = opened["control"]
            key = subprocess.run(
                ["postcore", "api-keys", "create", "--tenant", "ten_sandbox"],
                cwd=home,
                env=environ,
                capture_output=True,
                text=True,
                check=True,
            )
            environ["POSTCORE_API_KEY"] = key.stdout.strip()
            yield Shell(
                home,
                environ,
                {
                    "127.0.0.1:50051": addresses["grpc"],
                    "127.0.0.1:8080": addresses["http"],
                    "127.0.0.1:9090": addresses["admin"],
                    "127.0.0.1:2581": opened["control"],
                },
            )
        finally:
            server.terminate()
            server.wait(30)
