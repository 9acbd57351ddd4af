"""PLC: the directory of DIDs. Ledger holds its entries, and Directory serves them over HTTP."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.sandbox.xrpc import in_json

# the generator of secp256k1: a valid public key without a known private key. The sandbox signs no
# records
_PUBLIC_KEY = (
    "zPucSdUxwL4xHpPiAWbia7uCeAxyFeqQEUrwAmm9ypvGFMEVVbmU3qgBWDcZTosuNbjh8zXqL2sMXBabFzS1DF5x3"
)


@dataclass(slots=True)
class Home:
    """An account server. Its origin is empty until the server starts."""

    origin: str = ""


@dataclass(slots=True)
class Entry:
    """The entry of one DID."""

    handle: str
    home: Home
    tombstoned: bool = False


class Ledger:
    """The entries of all DIDs, at every server."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __contains__(self, did: str) -> bool:
        return did in self._entries

    def __getitem__(self, did: str) -> Entry:
        """Return the entry of *did*; raise KeyError if it was never registered."""
        return self._entries[did]

    def enter(self, did: str, handle: str, home: Home) -> None:
        """Add or replace the entry of *did*."""
        self._entries[did] = Entry(handle, home)

    def find(self, name: str) -> str | None:
        """Return the DID that is *name* or has it as its handle; the latest of several."""
        if name in self._entries:
            return name
        dids = [did for did, entry in self._entries.items() if entry.handle == name]
        return dids[-1] if dids else None

    def clear(self) -> None:
        """Remove every entry."""
        self._entries.clear()


class Directory:
    """Serves the documents of the DIDs in *ledger*, as an ASGI application."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self.answer(Request(scope, receive))
        await response(scope, receive, send)

    def answer(self, request: Request) -> Response:
        """Return the document of the DID in the path, or the directory's error."""
        headers = {"access-control-allow-origin": "*"}
        did = request.path_params["did"]
        if did not in self._ledger:
            return in_json({"message": f"DID not registered: {did}"}, 404, headers)
        document = self.document(did)
        if document is None:
            # as plc.directory; the server published for tests answers 404 with the same message
            return in_json({"message": f"DID not available: {did}"}, 410, headers)
        return in_json(document, 200, headers, "application/did+ld+json")

    def document(self, did: str) -> dict[str, object] | None:
        """Return the document of a registered DID; None if it is tombstoned."""
        entry = self._ledger[did]
        if entry.tombstoned:
            return None
        return {
            "@context": [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/suites/secp256k1-2019/v1",
            ],
            "id": did,
            "alsoKnownAs": [f"at://{entry.handle}"],
            "verificationMethod": [
                {
                    "id": "#atproto",
                    "type": "EcdsaSecp256k1VerificationKey2019",
                    "controller": did,
                    "publicKeyMultibase": _PUBLIC_KEY,
                }
            ],
            "service": [
                {
                    "id": "#atproto_pds",
                    "type": "AtprotoPersonalDataServer",
                    "serviceEndpoint": entry.home.origin,
                }
            ],
        }
