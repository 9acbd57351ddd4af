"""Echo server: directory, resolver and account server in one; it echoes all received values."""

import base64
import json
from collections.abc import Callable
from itertools import count

from tests.platforms.bluesky_login import jwt
from tests.platforms.internet import NOW, document
from tests.platforms.raw import Answer, RawServer, Request, hang, respond

SESSION = "/xrpc/com.atproto.server."
LETTERS = str.maketrans("0123456789", "abcdefghij")
FIELDS = ("accessJwt", "refreshJwt", "did", "handle", "status", "email")
SITE_FIELDS = (
    *("uuid", "password", "code", "id", "username", "name", "acct", "uri", "url", "display_name"),
    *("home", "errors", "users", "scopes"),
)
Echo = Callable[[str], Answer]
SHAPES: dict[str, Callable[[str, int], Answer]] = {
    "error": lambda said, status: respond({"error": said, "message": said}, status),
    "message": lambda said, status: respond(
        {"error": "AuthenticationRequired", "message": said}, status
    ),
    "page": lambda said, status: respond(f"<p>{said}</p>", status),
    "text of JSON": lambda said, status: respond(json.dumps(said), status),
    "header": lambda said, status: respond(
        {}, status, www_authenticate=said, ratelimit_reset=said, location=f"https://a.test/{said}"
    ),
    "fields": lambda said, status: respond(dict.fromkeys((*FIELDS, *SITE_FIELDS), said), status),
    "wrong shape": lambda said, status: respond(
        {"accessJwt": {said: said}, "refreshJwt": [said], "did": said, "handle": 5}, status
    ),
    "torn": lambda said, status: respond(f'{{"error": "{said}', status),
    "reason": lambda said, status: (
        f"HTTP/1.1 {status} {said}\r\ncontent-length: 0\r\n\r\n".encode()
    ),
    "no HTTP": lambda said, _: f"{said}\r\n\r\n".encode(),
}
STATUSES = (200, 302, 400, 401, 403, 429, 500, 503)


class EchoServer(RawServer):
    """*how*: per method, the function that makes an answer of the received value.

    A method without one is answered normally.
    """

    def __init__(self, *arguments: None) -> None:
        super().__init__(*arguments)
        self.how: dict[str, Echo] = {}
        self.tokens: list[str] = []
        self._numbers = count(1)

    def _answer(self, request: Request) -> Answer:
        method = request.path.rpartition(".")[2]
        if request.method == "GET" and request.path.startswith("/did:plc:"):
            did = request.path.split("/")[1]
            return respond(document(did, _handle(did), self.origin))
        if method == "resolveHandle":
            return respond({"did": did_of(request.target.rpartition("=")[2])})
        if method in self.how:
            return self.how[method](_said(request))
        if method in ("createSession", "refreshSession"):
            return self._session(request)
        if method == "getRepoStatus":
            return respond(
                {"did": request.target.rpartition("=")[2].replace("%3A", ":"), "active": True}
            )
        return respond({}, 200 if method == "deleteSession" else 404)

    def _session(self, request: Request) -> Answer:
        number = next(self._numbers)
        if request.path.endswith("createSession"):
            did = json.loads(request.body)["identifier"]
        else:
            did = self._owner(request)
        pair = [
            jwt({"scope": scope, "exp": NOW + 7200, "sub": did}, f"{number:06} {scope} Ks93nfQ1")
            for scope in ("com.atproto.appPass", "com.atproto.refresh")
        ]
        self.tokens += pair
        return respond(
            {
                "accessJwt": pair[0],
                "refreshJwt": pair[1],
                "did": did,
                "handle": _handle(did),
                "active": True,
            }
        )

    def _owner(self, request: Request) -> str:
        claims = request.values("authorization")[0].split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"])


def _said(request: Request) -> str:
    """Return the password or the token in a request."""
    if request.body.startswith(b"{"):
        return str(json.loads(request.body).get("password", ""))
    return " ".join(request.values("authorization"))


def silent(_: str) -> Answer:
    return hang()


def handle_of(number: int) -> str:
    return f"u{number}.test"


def did_of(handle: str) -> str:
    letters = handle.partition(".")[0][1:].translate(LETTERS)
    return f"did:plc:{letters:z<24}"


def _handle(did: str) -> str:
    letters = did.removeprefix("did:plc:").rstrip("z")
    return f"u{letters.translate(str.maketrans('abcdefghij', '0123456789'))}.test"
