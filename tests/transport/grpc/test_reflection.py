"""Reflection: both versions describe every service that is listed, whole and as in the contract."""

from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from service.transport.servicers import SERVICES
from tests.support import sharing
from tests.support.running import Running

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed
pytestmark = pytest.mark.parametrize("version", ["v1", "v1alpha"])


async def ask(service: Running, version: str, **request: str) -> ServerReflectionResponse:
    """Return the reply to one request; the two versions differ in the method's path alone."""
    method: Any = service.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    call = method(iter([ServerReflectionRequest(**request)]), timeout=20)
    reply = await call.read()
    assert reply is not grpc.aio.EOF
    assert isinstance(reply, ServerReflectionResponse)
    return reply


async def files(service: Running, version: str, **request: str) -> list[FileDescriptorProto]:
    reply = await ask(service, version, **request)
    encoded = reply.file_descriptor_response.file_descriptor_proto
    assert encoded, reply
    return [FileDescriptorProto.FromString(each) for each in encoded]


async def test_each_listed_service_is_described(sandboxed: Running, version: str) -> None:
    """Its file comes with all imports, so that a client can build it without another source."""
    reply = await ask(sandboxed, version, list_services="*")
    listed = {service.name for service in reply.list_services_response.service}
    assert listed == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        *(service.full_name for service in SERVICES),
    }
    for name in listed:
        found = {
            file.name: file for file in await files(sandboxed, version, file_containing_symbol=name)
        }
        pool = DescriptorPool()

        def add(file: FileDescriptorProto, found: Any = found, pool: Any = pool) -> None:
            for imported in file.dependency:
                add(found[imported])
            pool.Add(file)

        for file in found.values():
            add(file)
        service = pool.FindServiceByName(name)
        for method in service.methods:
            assert pool.FindMessageTypeByName(method.input_type.full_name)
            assert method.output_type.full_name.startswith(name.rpartition(".")[0])


async def test_the_contract_is_whole(sandboxed: Running, version: str) -> None:
    """Messages, fields with JSON names, secrets' options, enums and details of errors are found."""
    package = "postcore.profiles.v1"
    [file, *_] = await files(sandboxed, version, file_containing_symbol=f"{package}.Credentials")
    [credentials] = [each for each in file.message_type if each.name == "Credentials"]
    fields = {field.name: field for field in credentials.field}
    assert fields["app_password"].json_name == "appPassword"
    assert fields["app_password"].options.debug_redact
    for symbol in (
        f"{package}.ProfileService.ConnectProfile",
        f"{package}.Profile.profile_key",
        f"{package}.ErrorReason",
        f"{package}.ConnectionEvent.Kind",
        "google.rpc.ErrorInfo",
        "google.protobuf.Timestamp",
    ):
        assert await files(sandboxed, version, file_containing_symbol=symbol)
    for name in ("postcore/profiles/v1/profile.proto", "google/protobuf/timestamp.proto"):
        [file, *_] = await files(sandboxed, version, file_by_filename=name)
        assert file.name == name


async def test_what_does_not_exist_is_not_found(sandboxed: Running, version: str) -> None:
    """An unknown symbol or file is an error in the reply, and ends no call."""
    for request in ({"file_containing_symbol": "no.Such"}, {"file_by_filename": "no/such.proto"}):
        reply = await ask(sandboxed, version, **request)
        assert reply.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
