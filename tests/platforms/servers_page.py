"""Servers' page: the tables of docs/servers.md, made of answers.json.

    python -m tests.platforms.servers_page

writes them into the page.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/servers.md"
MARK = "<!-- what follows is made by tests/platforms/servers_page.py -->\n"
MAX_LINE_LENGTH = 90
OPERATIONS = {
    "createSession": ("connect", "check"),
    "refreshSession": ("check",),
    "deleteSession": ("check",),
    "getRepoStatus": ("check",),
}
TITLES = {"connect": "A connect", "check": "A check"}
MEANINGS = {"check": {"deleteSession": "A disconnect"}}


def tables() -> str:
    """Markdown: for each operation what each server answers, and what the service makes of it."""
    known = json.loads(Path(__file__).with_name("answers.json").read_text())
    return "\n".join(
        line
        for operation, paths in OPERATIONS.items()
        for line in _table(operation, paths, known["answers"])
    ) + "\n".join(["", "## Sources", "", f"Read {known['read']}.", "", *_sources(known["sources"])])


def _table(operation: str, paths: tuple[str, ...], answers: list[dict[str, Any]]) -> Iterator[str]:
    titles = [MEANINGS.get(path, {}).get(operation, TITLES[path]) for path in paths]
    yield f"## {operation}"
    yield ""
    yield f"| Server | Case | Answer | {' | '.join(titles)} |"
    yield "|---" * (3 + len(paths)) + "|"
    for answer in answers:
        if answer["operation"] == operation:
            cells = [answer["server"], answer["case"], _told(answer)]
            cells += [f"`{answer[path]}`" for path in paths]
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _told(answer: dict[str, Any]) -> str:
    """The status, the error and what is odd about an answer, on one line."""
    body = answer["body"]
    if isinstance(body, dict) and answer["status"] < 300:
        hidden = ("accessJwt", "refreshJwt", "did", "handle", "didDoc", "email")
        odd = {
            name: value
            for name, value in body.items()
            if name not in hidden or value in (None, "", "handle.invalid", "todo")
        }
        said = json.dumps(odd) if odd else ""
    elif isinstance(body, dict):
        error, message = body.get("error", ""), body.get("message", "")
        said = f"{error if isinstance(error, str) else json.dumps(error)} {_quoted(message)}"
    else:
        said = "" if body is None else _quoted(body)
    extra = [f"{name}: {value}" for name, value in answer["headers"].items() if "type" not in name]
    text = " · ".join(filter(None, [f"{answer['status']} {said}".strip(), *extra]))
    return text.replace("<", "‹").replace(">", "›")


def _quoted(text: object) -> str:
    line = " ".join(str(text).split())
    shown = line if len(line) <= MAX_LINE_LENGTH else f"{line[:MAX_LINE_LENGTH]}…"
    return f'"{shown}"' if shown else ""


def _sources(sources: dict[str, str]) -> Iterator[str]:
    yield "| Server | Repository or package, and what was read of it |"
    yield "|---|---|"
    for server, source in sources.items():
        yield f"| {server} | {source} |"
    yield ""


def main() -> None:
    text = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{text}{MARK}\n{tables()}")


if __name__ == "__main__":
    main()
