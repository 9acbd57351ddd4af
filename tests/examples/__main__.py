"""`make examples`: build the examples, run each against a sandbox, and print a line for each."""

import tempfile
import time
from pathlib import Path

import click

from tests.examples.build import BuildFailed, built
from tests.examples.checks import checked
from tests.examples.languages import LANGUAGES, Language
from tests.examples.world import world


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(LANGUAGES)))
@click.option("--nothing-left-out", is_flag=True, help="Fail where a language's tools are missing.")
@click.option("--verbose", is_flag=True, help="Print each check.")
def main(names: tuple[str, ...], nothing_left_out: bool, verbose: bool) -> None:
    """Build and run the examples NAMES, or all."""
    results = [_examined(LANGUAGES[name], nothing_left_out, verbose) for name in names or LANGUAGES]
    raise SystemExit(0 if all(results) else 1)


def _examined(language: Language, nothing_left_out: bool, verbose: bool) -> bool:
    """Print the line of *language*; return whether it is right, or may be left out."""
    if language.missing:
        lacking = f"{', '.join(language.missing)} not found; install {language.install}"
        click.echo(f"{language.name:12} left out: {lacking}")
        return not nothing_left_out
    begun = time.monotonic()
    try:
        example = built(language)
    except BuildFailed as error:
        click.echo(f"{language.name:12} not built\n{error}")
        return False
    ready = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as sandbox:
        started = time.monotonic()
        checks = checked(example, sandbox)
        ended = time.monotonic()
    click.echo(
        f"{language.name:12} {len(checks.names)} checks, {len(checks.failed)} failed; "
        f"build {ready - begun:.1f} s, run {ended - started:.1f} s"
    )
    if verbose or not checks.right:
        click.echo(checks.text)
    return checks.right


if __name__ == "__main__":
    main()
