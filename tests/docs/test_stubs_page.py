"""docs/python-stubs.md: the wheel of the stubs, in an environment with its dependencies alone."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from service import __version__
from tests.cli.home import DEADLINE
from tests.docs.page import ROOT, Page
from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running

pytestmark = pytest.mark.process
sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

PAGE = Page.read("docs/python-stubs.md")
NEEDED = ("grpcio", "protobuf", "typing-extensions")
"""What pip would install; typing-extensions is a dependency of grpcio."""
FOR_ERRORS = ("grpcio-status", "googleapis-common-protos")
FOR_TYPES = ("types-grpcio", "types-protobuf")


def run(*command: str | Path, **options: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
        env={**os.environ, "PYTHON": sys.executable},
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert isinstance(done.stdout, str)
    return done.stdout


def copy(names: tuple[str, ...], packages: Path) -> None:
    """Install distributions of this environment in *packages*, so that no network is needed."""
    for name in names:
        for file in distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), packages / file)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment's site-packages, with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("stubs")
    run(ROOT / "protos/stubs/build", folder / "dist")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "environment")
    [packages] = folder.glob("environment/lib/python*/site-packages")
    copy(NEEDED, packages)
    [wheel] = (folder / "dist").iterdir()
    assert wheel.name == f"postcore_profiles_stubs-{__version__}-py3-none-any.whl"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    python = folder / "environment/bin/python"
    run(*pip, "--python", python, "install", "--no-index", wheel)  # its dependencies are there
    return packages


def python(packages: Path) -> Path:
    return packages.parents[2] / "bin/python"


def environ(service: Running) -> dict[str, str]:
    return {"POSTCORE_GRPC_ADDRESS": service.address, "POSTCORE_API_KEY": service.api_key}


async def test_the_example_runs_with_grpcio_and_protobuf_alone(
    packages: Path, sandboxed: Running, sandbox: SandboxBluesky, tmp_path: Path
) -> None:
    """It connects an account, and shows a refusal by its code."""
    person = await sandbox.person()
    program = tmp_path / "connect.py"
    program.write_text(PAGE.blocks()[1].code)

    async def connect(password: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            python(packages),
            program,
            person.handle,
            env=environ(sandboxed),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(f"{password}\n".encode()), DEADLINE)
        return process.returncode, out.decode()

    code, shown = await connect(person.app_password)
    assert code == 0, shown
    assert re.fullmatch(rf"prof_\w+ {re.escape(person.handle)}\n", shown)
    assert await connect("wxyz-efgh-ijkl-mnop") == (
        1,
        "UNAUTHENTICATED: Invalid Bluesky credentials\n",
    )


def test_the_stubs_have_types(packages: Path, tmp_path: Path) -> None:
    """Strict mypy accepts both programs, knows a reply's type, and rejects a field that is none."""
    copy(FOR_TYPES, packages)
    (tmp_path / "connect.py").write_text(PAGE.blocks()[1].code)
    (tmp_path / "wrong.py").write_text(
        "import grpc\nimport grpc.aio\n"
        "from postcore.profiles.v1 import profile_service_pb2 as pb\n"
        "from postcore.profiles.v1.profile_service_pb2_grpc import ProfileServiceStub\n"
        "def sync(channel: grpc.Channel) -> None:\n"
        "    reveal_type(ProfileServiceStub(channel).GetProfile(pb.GetProfileRequest()))\n"
        "async def coroutine(channel: grpc.aio.Channel) -> None:\n"
        "    reveal_type(await ProfileServiceStub(channel).GetProfile(pb.GetProfileRequest()))\n"
        "pb.GetProfileRequest(profile_name='')\n"
    )
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", python(packages))
    cache = f"--cache-dir={tmp_path / 'cache'}"
    run(*mypy, cache, "connect.py", cwd=str(tmp_path))
    done = subprocess.run(
        [*mypy, cache, "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
    )
    revealed = re.findall(r'Revealed type is "(.+)"', done.stdout)
    assert revealed == ["postcore.profiles.v1.profile_service_pb2.GetProfileResponse"] * 2
    assert done.stdout.count(" error: ") == 1, done.stdout
    assert 'Unexpected keyword argument "profile_name"' in done.stdout


def test_the_extra_decodes_reasons(packages: Path, sandboxed: Running, tmp_path: Path) -> None:
    """With it, the page's function returns the reason."""
    copy(FOR_ERRORS, packages)
    program = tmp_path / "reason.py"
    program.write_text(
        "import grpc, os\n"
        + PAGE.blocks()[2].code
        + "from postcore.profiles.v1 import profile_service_pb2 as pb\n"
        "from postcore.profiles.v1.profile_service_pb2_grpc import ProfileServiceStub\n"
        "with grpc.insecure_channel(os.environ['POSTCORE_GRPC_ADDRESS']) as channel:\n"
        "    try:\n"
        "        ProfileServiceStub(channel).GetProfile(pb.GetProfileRequest(), timeout=30)\n"
        "    except grpc.RpcError as error:\n"
        "        print(reason(error))\n"
    )
    done = subprocess.run(
        [python(packages), program],
        env=environ(sandboxed),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "MISSING_API_KEY\n"), done.stderr


@pytest.mark.quick
def test_the_dependencies_are_those_of_generated_code() -> None:
    """The wheel asks for the versions that the generated code checks at its import."""
    text = (ROOT / "protos/stubs/pyproject.toml").read_text()
    generated = ROOT / "generated/postcore/profiles/v1"
    messages = (generated / "profile_pb2.py").read_text()
    services = (generated / "profile_service_pb2_grpc.py").read_text()
    [protobuf] = re.findall(r"^# Protobuf Python Version: (\S+)$", messages, re.MULTILINE)
    [grpcio] = re.findall(r"^GRPC_GENERATED_VERSION = '(\S+)'$", services, re.MULTILINE)
    assert f'"protobuf >= {protobuf}, < 8"' in text
    assert f'"grpcio >= {grpcio}, < 2"' in text
    assert f'"grpcio-status >= {grpcio}, < 2"' in text
    assert len(PAGE.text.splitlines()) <= 60
