"""Invalid bodies: each gets an error with its field, has no effect, and is not echoed."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support import sharing
from tests.support.bluesky import SandboxBluesky
from tests.support.running import Running
from tests.transport.http.edge import Edge

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

SECRET = "wxyz-abcd-wxyz-abcd"
GOOD = {
    "platform": "bluesky",
    "credentials": {"handle": "user.bsky.social", "appPassword": "abcd-efgh-ijkl-mnop"},
}


def typed(**given: Any) -> bytes:
    return json.dumps({**GOOD, "credentials": {**GOOD["credentials"], **given}}).encode()  # type: ignore[dict-item]


def with_(**given: Any) -> bytes:
    return json.dumps({**GOOD, **given}).encode()


TEXT = f'"{SECRET}"'.encode()
NOT_JSON = "The request is not valid JSON"
CASES: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"platform=bluesky&handle=" + TEXT, NOT_JSON),
    "half of it": (with_()[:-9], NOT_JSON),
    "two of it": (with_() * 2, NOT_JSON),
    "only white space": (b"  \n", NOT_JSON),
    "single quotes": (b"{'platform': 'bluesky'}", NOT_JSON),
    "a trailing comma": (b'{"platform": "bluesky",}', NOT_JSON),
    "NaN": (b'{"platform": NaN}', NOT_JSON),
    "-Infinity": (b'{"platform": "bluesky", "x": -Infinity}', NOT_JSON),
    "a number without end": (b'{"x": ' + b"9" * 5000 + b"}", NOT_JSON),
    "a control character in a text": (b'{"platform": "blue\x01sky"}', NOT_JSON),
    "a deep nest of lists": (b"[" * 60_000, NOT_JSON),
    "a deep nest of objects": (b'{"a":' * 10_000, NOT_JSON),
    "a list": (b"[]", "The request must be a JSON object"),
    "a text": (TEXT, "The request must be a JSON object"),
    "null": (b"null", "The request must be a JSON object"),
    "a number": (b"1", "The request must be a JSON object"),
    "a byte order mark": (
        b"\xef\xbb\xbf" + with_(),
        "The request must not begin with a byte order mark",
    ),
    "UTF-16": (with_().decode().encode("utf-16"), "The request is not valid UTF-8"),
    "invalid UTF-8": (b'{"platform": "\xff\xfe"}', "The request is not valid UTF-8"),
    "a lone surrogate": (b'{"platform": "\\ud800"}', "platform is not valid UTF-8"),
    "a lone surrogate within": (
        typed(handle="\ud800"),
        "credentials.handle is not valid UTF-8",
    ),
    "a platform twice": (
        b'{"platform": "bluesky", "platform": "bluesky"}',
        "platform is named twice",
    ),
    "a password twice": (
        b'{"platform": "bluesky", "credentials": {"appPassword": %s, "appPassword": %s}}'
        % (TEXT, TEXT),
        "credentials.appPassword is named twice",
    ),
    "an unknown field twice": (b'{"x": 1, "x": 2}', "The request names a field twice"),
    "a field by both its names": (
        with_(profileKey="prof_a", profile_key="prof_a"),
        "profileKey is named twice",
    ),
    "a password by both its names": (
        typed(app_password="abcd-efgh-ijkl-mnop"),
        "credentials.appPassword is named twice",
    ),
    "a password by both its names, one of them null": (
        typed(app_password=None),
        "credentials.appPassword is named twice",
    ),
    "a number for a platform": (with_(platform=1), "platform must be text"),
    "true for a platform": (with_(platform=True), "platform must be text"),
    "a list for a platform": (with_(platform=["bluesky"]), "platform must be text"),
    "an object for a platform": (with_(platform={"a": 1}), "platform must be text"),
    "null for a platform": (with_(platform=None), "platform is required"),
    "a number for a profile key": (with_(profileKey=1), "profileKey must be text"),
    "a number for a handle": (typed(handle=7), "credentials.handle must be text"),
    "a list for a password": (typed(appPassword=[SECRET]), "credentials.appPassword must be text"),
    "null for a handle": (typed(handle=None), "credentials.handle is required"),
    "a text for credentials": (with_(credentials=SECRET), "credentials must be an object"),
    "a list for credentials": (with_(credentials=[SECRET]), "credentials must be an object"),
    "null for credentials": (with_(credentials=None), "credentials.handle is required"),
    "nothing": (b"", "platform is required"),
    "an empty object": (b"{}", "platform is required"),
    "credentials in the wrong place": (
        json.dumps({"platform": "bluesky", "handle": "a.test", "appPassword": SECRET}).encode(),
        "credentials.handle is required",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_an_invalid_body_is_rejected(
    edge: Edge, sandboxed: Running, sandbox: SandboxBluesky, name: str
) -> None:
    """INVALID_REQUEST names the field and does not quote the body. The platform is not called, and
    nothing is stored."""
    body, said = CASES[name]
    status, answer = await edge.post(body)
    assert (status, answer) == (400, {"error": "INVALID_REQUEST", "message": said})
    assert not sandbox.server.counts
    assert sandboxed.rows("SELECT * FROM profiles") == []


@pytest.mark.parametrize("name", ["a number for a name", "a list for a name"])
async def test_invalid_names_are_rejected(edge: Edge, name: str) -> None:
    """CreateProfile, too, validates its body."""
    body = {
        "a number for a name": b'{"profileName": 1}',
        "a list for a name": b'{"profileName": []}',
    }
    status, answer = await edge.post(body[name], "/profiles/create")
    assert (status, answer["message"]) == (400, "profileName must be text")


async def test_unknown_fields_are_ignored(edge: Edge) -> None:
    """A newer client may send any value in them. Both spellings of a known field are accepted."""
    more = {"x": [{"y": None}], "credentials": {**GOOD["credentials"], "z": {}}}  # type: ignore[dict-item]
    status, answer = await edge.post(with_(**more))
    assert (status, answer["username"]) == (201, "user.bsky.social")
    snake = {"handle": "user.bsky.social", "app_password": "abcd-efgh-ijkl-mnop"}
    key = answer["profileKey"]
    status, answer = await edge.post(with_(credentials=snake, profile_key=key, profileName=None))
    assert (status, answer["profileKey"]) == (201, key)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": "application/json; charset=utf-8"}, 201),
        ({"content_type": 'Application/JSON;charset="UTF-8"'}, 201),
        ({"content_type": "application/json;"}, 201),
        ({"content_type": "application/json ; ;"}, 201),
        ({"content_type": "application/json; charset=utf-8; foo=bar"}, 201),
        ({"content_type": 'application/json; foo="a;charset=x\\"";charset=UTF-8'}, 201),
        ({"content_type": "application/json; charset=utf-8; charset=utf-16"}, 415),
        ({"content_type": "application/json; charset=utf-80"}, 415),
        ({"content_type": 'application/json; charset="utf-16"'}, 415),
        ({"content_type": 'application/json; charset="utf-8'}, 415),
        ({"content_type": "application/json; charset"}, 415),
        ({"content_type": "application/json" + " ;" * 5000 + "!" * 999}, 415),
        ({"content_type": "application/json" + "; a=b" * 3000 + '"'}, 415),
        ({"content_encoding": "identity"}, 201),
        ({"content_type": "application/json; charset=utf-16"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/jsonp"}, 415),
        ({"content_type": "application/json, text/plain"}, 415),
        ({"content_type": ""}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_encoding": "br, gzip"}, 415),
    ],
)
async def test_media_types(edge: Edge, headers: dict[str, str], status: int) -> None:
    """Only uncompressed JSON in UTF-8 is accepted, by the headers."""
    answered, answer = await edge.post(with_(), **headers)
    assert answered == status
    if status == 415:
        assert answer == {
            "error": "UNSUPPORTED_MEDIA_TYPE",
            "message": "The request's body must be application/json, in UTF-8, not compressed",
        }


async def test_a_compressed_body_is_not_unpacked(edge: Edge, sandbox: SandboxBluesky) -> None:
    """Its size does not matter."""
    bomb = gzip.compress(b" " * 10_000_000 + with_())
    status, answer = await edge.post(bomb, content_encoding="gzip")
    assert (status, answer["error"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    status, answer = await edge.post(bomb)
    assert (status, answer["message"]) == (400, "The request is not valid UTF-8")
    assert not sandbox.server.counts


def padded(size: int) -> bytes:
    body = with_()
    return body + b" " * (size - len(body))


async def test_a_body_has_at_most_64_kib(edge: Edge) -> None:
    """The limit is exact, with a length and chunked. The connection stays usable."""
    kib = 1024
    too_large = {
        "error": "PAYLOAD_TOO_LARGE",
        "message": "The request's body is longer than 64 KiB",
    }

    async def chunks(size: int) -> AsyncIterator[bytes]:
        body = padded(size)
        for start in range(0, size, 16 * kib):
            yield body[start : start + 16 * kib]

    assert (await edge.post(padded(64 * kib)))[0] == 201
    assert (await edge.post(padded(64 * kib + 1))) == (413, too_large)
    assert (await edge.post(padded(65 * kib))) == (413, too_large)
    assert (await edge.post(chunks(64 * kib)))[0] == 201
    assert (await edge.post(chunks(65 * kib))) == (413, too_large)
    assert (await edge.post(chunks(10_000 * kib))) == (413, too_large)
    assert (await edge.ask("GET", "/platforms")).status_code == 200


async def test_the_key_is_checked_before_the_body(edge: Edge) -> None:
    """Without a key a caller learns nothing else."""
    for body in (b"not JSON", padded(65 * 1024)):
        status, answer = await edge.post(body, x_api_key="x")
        assert (status, answer["error"]) == (401, "INVALID_API_KEY")
    status, _ = await edge.post(b"x", x_api_key="x", content_type="text/plain")
    assert status == 401
