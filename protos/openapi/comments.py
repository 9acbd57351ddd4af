"""The contract's comments by the full name of the element they describe.

Generated code does not contain them, so protoc parses the contract again.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

PROTOS = Path(__file__).parents[1]
WELL_KNOWN = Path(protoc.__file__).with_name("_proto")
# which elements contain which, by field number in descriptor.proto
CHILDREN = {
    "FileDescriptorProto": {4: "message_type", 5: "enum_type", 6: "service"},
    "DescriptorProto": {2: "field", 3: "nested_type", 4: "enum_type"},
    "EnumDescriptorProto": {2: "value"},
    "ServiceDescriptorProto": {2: "method"},
}


@cache
def comments() -> Mapping[str, str]:
    """Return all comments. The full name of an enum's value includes the enum."""
    return dict(_comments(_contract()))


def first_sentence(comment: str) -> str:
    """Return the summary of *comment* on one line, without its full stop."""
    return re.split(r"[.:](?:\s|$)", " ".join(comment.split()), maxsplit=1)[0]


def reasons(comment: str) -> list[str]:
    """Return the error reasons that a method's comment lists."""
    _, _, fails = comment.partition("\n\nFails ")
    return re.findall(r"\b(?:[A-Z]+_[A-Z_]+|INTERNAL)\b", fails)


def without_reasons(comment: str) -> str:
    """Return *comment* without the paragraph that lists error reasons."""
    return comment.partition("\n\nFails ")[0]


def _contract() -> FileDescriptorSet:
    with TemporaryDirectory() as folder:
        parsed = Path(folder, "contract.binpb")
        arguments = [
            "protoc",
            f"-I{PROTOS}",
            f"-I{WELL_KNOWN}",
            "--include_source_info",
            f"--descriptor_set_out={parsed}",
            *map(str, sorted(PROTOS.glob("postcore/**/*.proto"))),
        ]
        if protoc.main(arguments):
            raise RuntimeError("protoc cannot parse the contract")
        return FileDescriptorSet.FromString(parsed.read_bytes())


def _comments(contract: FileDescriptorSet) -> Iterator[tuple[str, str]]:
    for file in contract.file:
        for location in file.source_code_info.location:
            if location.leading_comments and (name := _name(file, location.path)):
                lines = location.leading_comments.splitlines()
                yield f"{file.package}.{name}", "\n".join(line[1:] for line in lines).strip()


def _name(element: Any, path: Any) -> str:
    """Return the name of the element at *path*, which alternates field numbers and indexes."""
    names = []
    for number, index in zip(path[::2], path[1::2], strict=False):
        children = CHILDREN.get(element.DESCRIPTOR.name, {})
        if number not in children:
            return ""
        element = getattr(element, children[number])[index]
        names.append(element.name)
    return ".".join(names)
