"""Reaching: what each language's client makes of an address, and of keepalive pings.

    python -m tests.examples.reaching

It prints the tables of docs/languages.md, in about a minute.
"""

import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from tests.examples.build import Example, built
from tests.examples.languages import LANGUAGES
from tests.examples.world import world

FORMS = {
    "host:port": "127.0.0.1:{port}",
    "a name": "localhost:{port}",
    "dns": "dns:///localhost:{port}",
    "ipv4": "ipv4:127.0.0.1:{port}",
    "ipv4 list": "ipv4:127.0.0.1:{port},127.0.0.1:{port}",
}
REACHED = "reached"
KEEPALIVES = (5, 10)
IDLE_SECONDS = 40
"""After more pings than it may send, a client is cut off in about 20 seconds."""
DEADLINE_SECONDS = 90


def printed(
    examples: Iterable[Example], environs: Sequence[Mapping[str, str]]
) -> dict[str, list[str]]:
    """What each example prints in each environment; all run at the same time."""
    with ExitStack() as stack:
        processes: dict[str, list[subprocess.Popen[str]]] = {}
        for example in examples:
            for environ in environs:
                process = stack.enter_context(example.start("reach", environ))
                stack.callback(process.kill)
                processes.setdefault(example.language.name, []).append(process)
        return {
            name: [each.communicate(timeout=DEADLINE_SECONDS)[0] for each in started]
            for name, started in processes.items()
        }


def reached(examples: Iterable[Example], environ: Mapping[str, str]) -> dict[str, list[str]]:
    """The FORMS of address by which each example reaches the server of *environ*."""
    port = environ["POSTCORE_GRPC_ADDRESS"].rpartition(":")[2]
    found: dict[str, list[str]] = {}
    for form, address in FORMS.items():
        given = {
            **environ,
            "POSTCORE_GRPC_ADDRESS": address.format(port=port),
            "POSTCORE_IDLE_SECONDS": "0",
        }
        for name, [text] in printed(examples, [given]).items():
            found.setdefault(name, [])
            if REACHED in text.splitlines():
                found[name].append(form)
    return found


@click.command()
def main() -> None:
    examples = [built(language) for language in LANGUAGES.values() if not language.missing]
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as sandbox:
        for name, forms in reached(examples, sandbox.environ).items():
            click.echo(f"{name:12} {', '.join(forms)}")
        environs = [
            {
                **sandbox.environ,
                "POSTCORE_KEEPALIVE_SECONDS": str(seconds),
                "POSTCORE_IDLE_SECONDS": str(IDLE_SECONDS),
            }
            for seconds in KEEPALIVES
        ]
        for name, texts in printed(examples, environs).items():
            for seconds, text in zip(KEEPALIVES, texts, strict=True):
                click.echo(f"{name:12} {seconds} s: {' '.join(text.split())}")


if __name__ == "__main__":
    main()
