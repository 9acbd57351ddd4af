"""Language: how an example is generated, linted, built and run by the tools of its language."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

SCRIPTS = Path(sys.executable).parent
"""Where the tools of the development environment are, such as buf."""

Command = Sequence[str]


@dataclass(frozen=True)
class Language:
    """The commands of one language, each run in the folder of its example.

    *silent*: linters that report by their output alone.
    """

    name: str
    needs: Sequence[str]
    """Programs on the PATH."""
    install: str
    """What brings them."""
    build: Sequence[Command]
    lint: Sequence[Command]
    run: Command
    silent: Sequence[Command] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The programs that this machine lacks."""
        return [program for program in self.needs if not which(program)]


GENERATE = ("buf", "generate", "../../protos")
PROTOC = (
    *("python", "-m", "grpc_tools.protoc", "-I", "../../protos"),
    *("--python_out=gen", "--pyi_out=gen", "--grpc_python_out=gen", "--mypy_grpc_out=quiet:gen"),
)
CONTRACT = [
    f"postcore/profiles/v1/{name}.proto"
    for name in (
        *("error_reason", "platform_service", "profile", "profile_service"),
        "session_service",
    )
]

LANGUAGES: Mapping[str, Language] = {
    language.name: language
    for language in (
        Language(
            "go",
            needs=("go", "gofmt"),
            install="Go 1.26",
            build=(GENERATE, ("go", "build", "-o", "build/example", ".")),
            lint=(("go", "vet", "."),),
            silent=(("gofmt", "-l", "."),),
            run=("build/example",),
        ),
        Language(
            "typescript",
            needs=("node", "npm"),
            install="Node.js 20 with npm",
            build=(
                ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"),
                GENERATE,
                ("npm", "run", "--silent", "build"),
            ),
            lint=(("npm", "run", "--silent", "lint"),),
            run=("node", "dist/src/main.js"),
        ),
        Language(
            "java",
            needs=("java", "javac", "mvn"),
            install="JDK 17 and Maven",
            build=(("mvn", "--quiet", "--batch-mode", "package"),),
            lint=(("mvn", "--quiet", "--batch-mode", "spotless:check"),),
            run=("java", "-XX:TieredStopAtLevel=1", "-jar", "target/example.jar"),
        ),
        Language(
            "rust",
            needs=("cargo", "rustfmt", "cargo-clippy"),
            install="Rust 1.88 with rustfmt and clippy",
            build=(
                ("cargo", "build", "--locked", "--quiet"),
                ("mkdir", "-p", "build"),
                ("sh", "-c", 'cp "$CARGO_TARGET_DIR/debug/postcore-example" build/example'),
            ),
            lint=(
                ("cargo", "fmt", "--check"),
                ("cargo", "clippy", "--locked", "--quiet", "--", "-D", "warnings"),
            ),
            run=("build/example",),
        ),
        Language(
            "python",
            needs=(),
            install="",
            build=(("mkdir", "-p", "gen"), (*PROTOC, *CONTRACT)),
            lint=(
                ("ruff", "check", "."),
                ("ruff", "format", "--check", "."),
                ("mypy", "postcore_example"),
            ),
            run=("python", "-m", "postcore_example"),
            environ={"PYTHONPATH": "gen", "MYPYPATH": "gen"},
        ),
    )
}
