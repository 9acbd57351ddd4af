"""Lies: the faults of an answer that says something else than the truth."""

from dataclasses import dataclass
from typing import Any

from service.sandbox.answer import Answer
from service.sandbox.call import Call
from service.sandbox.fault import Fault
from service.sandbox.tokens import veiled


class Lie(Fault):
    """The answer with something else in it; a refusal stays what it is."""

    async def answer(self, call: Call) -> Answer:
        answer = await call.truth()
        return answer.saying(self.told(answer.value)) if answer.status == 200 else answer

    def told(self, value: dict[str, Any]) -> dict[str, Any]:
        """What is said instead of *value*."""
        raise NotImplementedError


@dataclass
class OpaqueTokens(Lie):
    """Sessions whose tokens are no JWTs. They can be refreshed and deleted like any other."""

    name = "opaque-tokens"

    def told(self, value: dict[str, Any]) -> dict[str, Any]:
        tokens = {"accessJwt", "refreshJwt"} & value.keys()
        return value | {key: veiled(value[key]) for key in tokens}


@dataclass
class AnotherDid(Lie):
    """Another DID than the account's."""

    name = "another-did"
    did: str = "did:plc:anotherdidanotherdidabcd"

    def told(self, value: dict[str, Any]) -> dict[str, Any]:
        return value | dict.fromkeys({"did", "id"} & value.keys(), self.did)


@dataclass
class AnotherHandle(Lie):
    """Another handle than the account's."""

    name = "another-handle"
    handle: str = "another.test"

    def told(self, value: dict[str, Any]) -> dict[str, Any]:
        names = {"handle": self.handle, "alsoKnownAs": [f"at://{self.handle}"]}
        return value | {key: told for key, told in names.items() if key in value}


@dataclass
class AnotherEndpoint(Lie):
    """A DID document that names another server; also the one in a session."""

    name = "another-endpoint"
    endpoint: str = "http://127.0.0.1:9"

    def told(self, value: dict[str, Any]) -> dict[str, Any]:
        for document in (value, value.get("didDoc", {})):
            for service in document.get("service", ()):
                service["serviceEndpoint"] = self.endpoint
        return value
