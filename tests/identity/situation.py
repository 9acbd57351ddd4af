"""Situation: what the world says of one handle, and what becomes of it, as data.

Texts may hold `$handle`, `$did` and `$server`, and `$HANDLE` in capitals: each side of a comparison
has its own handle and DID.
"""

import json
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from tests.identity.nameserver import Answering
from tests.platforms.dns_server import NXDOMAIN, Reply, text

SIGNING_KEY = "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"
"""A public key that stands in the specification of did:key."""
ACCOUNT = "account"
"""The result that the handle leads to its account: `$did`, `$handle` and `$server`."""
NONE = "none"
ERROR = "error"

Way = Literal["", "cut", "hang", "reset", "chunked", "slow", "pieces", "hints"]
Fault = Literal["expired", "misnamed", "self-signed"]
"""What is wrong with a certificate."""


@dataclass(frozen=True)
class Page:
    """What a web server answers: *body* in the given *way*. A DID document is given as a dict."""

    body: str | bytes | dict[str, Any] | list[Any] = "$did"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    way: Way = ""
    gzip: bool = False
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Names:
    """Those of one side in one situation."""

    handle: str
    did: str
    server: str = "https://server.situations.net"

    @classmethod
    def of(cls, side: str, number: int, did: str) -> "Names":
        handle = f"{side}{number:03}.situations.net"
        digest = b32encode(sha256(handle.encode()).digest()).decode().lower()
        plc = f"did:plc:{digest[:24]}"
        return cls(handle, cls(handle, "").into(did) if did else plc)

    def into(self, template: str) -> str:
        template = template.replace("$HANDLE", self.handle.upper())
        for name in ("handle", "did", "server"):
            template = template.replace(f"${name}", getattr(self, name))
        return template

    def out_of(self, text: str) -> str:
        """*text* with the placeholders in the place of the names."""
        for name in ("server", "did", "handle"):
            text = text.replace(getattr(self, name), f"${name}")
        return text

    def body(self, page: Page) -> bytes:
        if isinstance(page.body, bytes):
            # Latin-1 has a character for each byte
            return self.into(page.body.decode("latin-1")).encode("latin-1")
        given = page.body if isinstance(page.body, str) else json.dumps(page.body)
        return self.into(given).encode(page.encoding)


@dataclass(frozen=True)
class Situation:
    """*reference* and *ours* are the results; where they differ, *because* names the decision."""

    name: str
    reference: str
    ours: str
    because: str = ""
    txt: tuple[Answering, ...] = (NXDOMAIN,)
    """Of `_atproto.$handle`; several are answered in turn."""
    file: Page | None = None
    """The well-known file of the handle's host."""
    document: Page | None = None
    """At the directory, or, for a did:web, at its host; None: the usual one."""
    pages: Mapping[str, Page] = field(default_factory=dict)
    """Others, by scheme-less URL. Their hosts have an address, if *addresses* gives them none."""
    addresses: Mapping[str, tuple[str | Answering, ...]] = field(default_factory=dict)
    """The addresses of hosts, IPv4 and IPv6 mixed, or else their answer to A and to AAAA."""
    did: str = ""
    """A did:web, for example; empty: a did:plc."""
    certificate: Fault | Literal[""] = ""
    """The fault of that of the handle's host."""
    twice: bool = False
    """Whether both sides are asked twice; the second result counts."""

    @property
    def is_equal(self) -> bool:
        """Whether both results are the same account, or no account."""
        if ACCOUNT in self.reference or ACCOUNT in self.ours:
            return self.reference == self.ours
        return True


def mine(*more: str) -> Reply:
    """The record with the DID, and *more* records in zone-file form."""
    return Reply((text("did=$did"), *more))


def service(**changes: Any) -> dict[str, Any]:
    """The account server as a document names it; a field that is `...` is left out."""
    usual = {
        "id": "#atproto_pds",
        "type": "AtprotoPersonalDataServer",
        "serviceEndpoint": "$server",
    }
    return _changed(usual, changes)


def document(**changes: Any) -> Page:
    """The usual document with other fields; one that is `...` is left out."""
    usual = {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": "$did",
        "alsoKnownAs": ["at://$handle"],
        "verificationMethod": [
            {
                "id": "$did#atproto",
                "type": "Multikey",
                "controller": "$did",
                "publicKeyMultibase": SIGNING_KEY,
            }
        ],
        "service": [service()],
    }
    return Page(_changed(usual, changes))


def _changed(usual: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}
