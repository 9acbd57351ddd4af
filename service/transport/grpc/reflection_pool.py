"""Descriptors for reflection: of the contract, with JSON names, and of reflection v1 itself.

protoc strips the JSON names from the descriptors in generated code. Clients that use reflection
would show `profile_key` instead of the contract's `profileKey`.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2


class ReflectionPool:
    """A pool of descriptors that also finds methods by their names, as the protocol asks for."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - protobuf's
        """Return the file that declares *symbol*; raise KeyError if none does."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def with_json_names(files: Iterable[FileDescriptor]) -> ReflectionPool:
    """Return a pool of *files* and their imports in which every field has its JSON name."""
    pool = DescriptorPool()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for imported in file.dependencies:
            add(imported)
        proto = FileDescriptorProto.FromString(file.serialized_pb)
        for message in proto.message_type:
            _name_fields(message, file.message_types_by_name[message.name])
        pool.Add(proto)

    for file in files:
        add(file)
    pool.Add(_reflection_v1())
    return ReflectionPool(pool)


@cache
def _reflection_v1() -> FileDescriptorProto:
    """Return the descriptor of reflection v1, which no package of grpc for Python has. It is
    v1alpha's under another name; clients that describe each service they list need it."""
    old = FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    text = text_format.MessageToString(old).replace("v1alpha", "v1")
    new = text_format.Parse(text, FileDescriptorProto())
    new.name = "grpc/reflection/v1/reflection.proto"
    new.options.ClearField("deprecated")
    return new


def _name_fields(message: DescriptorProto, descriptor: Descriptor) -> None:
    for field in message.field:
        field.json_name = descriptor.fields_by_name[field.name].json_name
    for nested in message.nested_type:
        _name_fields(nested, descriptor.nested_types_by_name[nested.name])
