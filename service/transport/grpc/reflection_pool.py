"""Descriptors for reflection, with JSON names.

protoc strips the JSON names from the descriptors in generated code. Clients that use reflection
would show `profile_key` instead of the contract's `profileKey`.
"""

from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool


def with_json_names(files: Iterable[FileDescriptor]) -> DescriptorPool:
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
    return pool


def _name_fields(message: DescriptorProto, descriptor: Descriptor) -> None:
    for field in message.field:
        field.json_name = descriptor.fields_by_name[field.name].json_name
    for nested in message.nested_type:
        _name_fields(nested, descriptor.nested_types_by_name[nested.name])
