"""docs/errors.md: every reason of the contract, with its codes and metadata."""

import json
import re
from pathlib import Path

from postcore.profiles.v1 import error_reason_pb2
from service.transport.status import STATUS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/errors.md").read_text()
CONTRACT = (ROOT / "protos/postcore/profiles/v1/error_reason.proto").read_text()
ROW = re.compile(r"^\| `([A-Z_]+)` \| (.+) \|$", re.MULTILINE)
KEY = re.compile(r"`(\w+)`")
COMMENT = re.compile(r"((?:  //.*\n)+)  ERROR_REASON_(\w+) = \d+;")


def rows(heading: str, columns: int) -> dict[str, list[str]]:
    """The table's rows under *heading* that have *columns* cells, by their name."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = [(name, rest.split(" | ")) for name, rest in ROW.findall(section)]
    return {name: cells for name, cells in found if len(cells) == columns - 1}


def test_reasons_are_those_of_the_table_of_statuses() -> None:
    """Each once, with its gRPC code and HTTP status; those of HTTP alone have no code."""
    shown = {name: (code, http) for name, (code, http, *_) in rows("Reasons", 6).items()}
    only_http = {
        name for comment, name in COMMENT.findall(CONTRACT) if "(over HTTP only)" in comment
    }
    assert len(only_http) == 5
    assert shown == {
        status.name: ("–" if status.name in only_http else status.code.name, str(status.http))
        for status in STATUS.values()
    }


def test_metadata_is_what_the_contract_lists() -> None:
    """For each reason, the keys that its comment names."""
    shown = {
        name: set(re.findall(r"`(\w+)`", metadata))
        for name, (_, _, metadata, *_) in rows("Reasons", 6).items()
    }
    for comment, name in COMMENT.findall(CONTRACT):
        if name == "UNSPECIFIED":
            continue
        text = " ".join(comment.replace("//", "").split())
        metadata = text.partition("Metadata: ")[2].partition(" Example: ")[0]
        keys = {part[1] for part in map(KEY.match, metadata.split("; ")) if part}
        assert shown[name] == keys, name


def test_the_reasons_for_programs_are_the_same() -> None:
    """reasons.json has each with its codes and metadata, and the causes with their meaning."""
    document = json.loads((ROOT / "generated/postcore/profiles/v1/reasons.json").read_bytes())
    reasons = document["reasons"]
    shown = rows("Reasons", 6)
    assert {
        name: [each["grpc"] or "–", str(each["http"]), set(each["metadata"])]
        for name, each in reasons.items()
    } == {
        name: [code, http, set(KEY.findall(keys))] for name, (code, http, keys, *_) in shown.items()
    }
    for name in ("INVALID_CREDENTIALS", "PLATFORM_UNAVAILABLE"):
        causes = reasons[name]["metadata"]["cause"]["values"]
        assert list(causes) == list(rows(f"Causes of {name}", 3))
        assert all(causes.values())
    waiting = {name for name, each in reasons.items() if each["retry"] == "AFTER_RETRY_INFO"}
    assert waiting == {name for name, cells in shown.items() if "`RetryInfo`" in cells[4]}


def test_causes_and_steps_are_the_contracts() -> None:
    """All of them, in its order."""
    for heading, enum, prefix in (
        (
            "Causes of INVALID_CREDENTIALS",
            error_reason_pb2.InvalidCredentialsCause,
            "INVALID_CREDENTIALS_CAUSE_",
        ),
        (
            "Causes of PLATFORM_UNAVAILABLE",
            error_reason_pb2.PlatformUnavailableCause,
            "PLATFORM_UNAVAILABLE_CAUSE_",
        ),
    ):
        names = [name.removeprefix(prefix) for name in enum.keys()]  # noqa: SIM118
        assert list(rows(heading, 3)) == names[1:]
    steps = [
        name.removeprefix("PLATFORM_UNAVAILABLE_STEP_")
        for name in error_reason_pb2.PlatformUnavailableStep.keys()  # noqa: SIM118
    ]
    assert list(rows("Causes of PLATFORM_UNAVAILABLE", 2)) == steps[1:]
