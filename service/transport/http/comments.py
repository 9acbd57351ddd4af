"""The contract's comments, which generated code lacks, by the full name of what they stand at."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from postcore.profiles.v1 import profile_pb2

CONTRACT = Path(profile_pb2.__file__).with_name("contract.binpb")
# what may stand within what, by the numbers of its fields in descriptor.proto
WITHIN = {
    "FileDescriptorProto": {4: "message_type", 5: "enum_type", 6: "service"},
    "DescriptorProto": {2: "field", 3: "nested_type", 4: "enum_type"},
    "EnumDescriptorProto": {2: "value"},
    "ServiceDescriptorProto": {2: "method"},
}


@cache
def comments() -> Mapping[str, str]:
    """All of them; an enum's value is named within its enum."""
    return dict(_all(FileDescriptorSet.FromString(CONTRACT.read_bytes())))


def first_sentence(comment: str) -> str:
    """Its summary, on one line and without the full stop."""
    return re.split(r"[.:](?:\s|$)", " ".join(comment.split()), maxsplit=1)[0]


def reasons(comment: str) -> list[str]:
    """The reasons that a method's comment says it fails with."""
    _, _, fails = comment.partition("\n\nFails ")
    return re.findall(r"\b(?:[A-Z]+_[A-Z_]+|INTERNAL)\b", fails)


def without_reasons(comment: str) -> str:
    return comment.partition("\n\nFails ")[0]


def _all(contract: FileDescriptorSet) -> Iterator[tuple[str, str]]:
    for file in contract.file:
        for place in file.source_code_info.location:
            if place.leading_comments:
                name = _name(file, place.path)
                if name:
                    lines = place.leading_comments.splitlines()
                    yield f"{file.package}.{name}", "\n".join(line[1:] for line in lines).strip()


def _name(element: Any, path: Any) -> str:
    """What *path* leads to: numbers of fields and places in them, in turns."""
    names = []
    for number, index in zip(path[::2], path[1::2], strict=False):
        within = WITHIN.get(element.DESCRIPTOR.name, {})
        if number not in within:
            return ""
        element = getattr(element, within[number])[index]
        names.append(element.name)
    return ".".join(names)
