"""Refusal: a call that the service refused, decoded."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status


class Refusal(Exception):
    """A refused call. *cause* is the error that grpc raised."""

    code: grpc.StatusCode
    reason: str
    """Such as PROFILE_NOT_FOUND; empty where grpc itself refused."""
    metadata: dict[str, str]
    """Such as the cause."""
    fields: dict[str, str]
    """What is wrong with each field of the request."""
    retry_seconds: int
    """How long to wait; 0: waiting does not help."""

    def __init__(self, cause: grpc.RpcError) -> None:
        self.code = cause.code()
        self.reason, self.metadata, self.fields, self.retry_seconds = "", {}, {}, 0
        status = rpc_status.from_call(cause)
        for detail in status.details if status else ():
            info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad_request):
                self.fields = {
                    each.field: each.description for each in bad_request.field_violations
                }
            elif detail.Unpack(retry):
                self.retry_seconds = retry.retry_delay.seconds
        super().__init__(f"{self.code.name}: {cause.details()} ({self.reason})")


@contextmanager
def refusals() -> Iterator[None]:
    """Raise a Refusal in place of the error of a call."""
    try:
        yield
    except grpc.RpcError as error:
        raise Refusal(error) from error
