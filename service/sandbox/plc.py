"""Directory: a PLC directory, which answers out of a ledger."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.sandbox.ledger import Ledger
from service.sandbox.xrpc import in_json

# the generator of secp256k1: a sound public key, and nobody's, for the sandbox signs no records
_PUBLIC_KEY = (
    "zPucSdUxwL4xHpPiAWbia7uCeAxyFeqQEUrwAmm9ypvGFMEVVbmU3qgBWDcZTosuNbjh8zXqL2sMXBabFzS1DF5x3"
)


class Directory:
    """The documents of the DIDs in *ledger*, as an ASGI application."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self.answer(Request(scope, receive))
        await response(scope, receive, send)

    def answer(self, request: Request) -> Response:
        """The document of the DID in the path, or the directory's word on why there is none."""
        headers = {"access-control-allow-origin": "*"}
        did = request.path_params["did"]
        if did not in self._ledger:
            return in_json({"message": f"DID not registered: {did}"}, 404, headers)
        document = self.document(did)
        if document is None:
            # plc.directory's status; the server published for tests says 404, in the same words
            return in_json({"message": f"DID not available: {did}"}, 410, headers)
        return in_json(document, 200, headers, "application/did+ld+json")

    def document(self, did: str) -> dict[str, object] | None:
        """The document of a registered DID; none once it is tombstoned."""
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
