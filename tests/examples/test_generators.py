"""The generator files: what they need of protoc, and all languages' plugins in one run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples.build import built
from tests.examples.conftest import require
from tests.examples.languages import LANGUAGES, SCRIPTS
from tests.support.leasing import ROOT

PROTOS = ROOT / "protos"
OPTIONS = {
    *("csharp_namespace", "go_package", "java_multiple_files", "java_package"),
    "debug_redact",  # since protoc 22
}
"""The options of the contract, none of which is newer than protoc 22."""
TOOLS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
)
MADE = (
    "go/postcore/profiles/v1/profile_service_grpc.pb.go",
    "typescript/postcore/profiles/v1/profile_service.ts",
    "java/dev/postcore/profiles/v1/ProfileServiceGrpc.java",
    "java/dev/postcore/profiles/v1/Profile.java",
    "python/postcore/profiles/v1/profile_service_pb2.pyi",
)


@pytest.mark.quick
def test_protoc_22_is_enough() -> None:
    """A newer option or syntax would need a newer protoc than the pages name."""
    for path in PROTOS.rglob("*.proto"):
        text = re.sub(r"//.*", "", path.read_text())
        assert 'syntax = "proto3";' in text
        used = re.findall(r"^\s*option (\w+)|[\[,]\s*(\w+) = ", text, re.MULTILINE)
        assert {first or second for first, second in used} <= OPTIONS, path


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_one_file_generates_several_languages(tmp_path: Path) -> None:
    """`protos/buf.gen.yaml` needs no more than the plugins that its comments name."""
    names = ("go", "typescript", "java")
    for name in names:
        require(LANGUAGES[name])
    go, typescript, java = (built(LANGUAGES[name]).folder for name in names)
    programs = tmp_path / "programs"
    programs.mkdir()
    subprocess.run(["go", "build", "-o", programs, *TOOLS], cwd=go, check=True)
    for plugin in (java / "target/protoc-plugins").iterdir():
        name = re.sub(r"-\d.*", "", plugin.name)
        (programs / name).symlink_to(plugin)
    protos = shutil.copytree(PROTOS, tmp_path / "protos")
    path = [programs, typescript / "node_modules/.bin", SCRIPTS, os.environ["PATH"]]

    subprocess.run(
        ["buf", "generate"],
        cwd=protos,
        env={**os.environ, "PATH": ":".join(map(str, path))},
        check=True,
    )

    assert [name for name in MADE if not (protos / "gen" / name).is_file()] == []
