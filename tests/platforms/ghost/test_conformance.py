"""Conformance: what the stand-in and a real Ghost answer, row by row of the facts."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
import pytest

from service.domain.model import SECOND
from service.platforms.ghost.keys import AdminKey

from .sites import API, PROOF, Site, ask, signed

MINUTE = 60 * SECOND
INVALID = "INVALID_JWT"


@dataclass(frozen=True)
class Row:
    """What is sent in *headers*, made of the key, and what the answer says."""

    headers: Callable[[str], dict[str, str]]
    status: int
    code: str | None
    message: str
    kind: str = "UnauthorizedError"


def _with(
    *, has_id: bool = True, age: int = 0, life: int = 300, audience: str = "/admin/"
) -> Callable[[str], dict[str, str]]:
    """Return what makes a token that is *age* seconds old, and says to live for *life* more."""

    def headers(api_key: str) -> dict[str, str]:
        key, now = AdminKey.parse(api_key), int(time.time())
        head = {"alg": "HS256", **({"kid": key.key_id} if has_id else {})}
        claims = {"iat": now - age, "exp": now + life, "aud": audience}
        text = f"{_part(head)}.{_part(claims)}"
        signature = hmac.digest(key.secret, text.encode(), "sha256")
        return {"authorization": f"Ghost {text}.{_base64(signature)}"}

    return headers


def _part(content: Mapping[str, object]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _another_secret(api_key: str) -> dict[str, str]:
    return signed(f"{api_key.partition(':')[0]}:{'ab' * 32}")


def _another_id(api_key: str) -> dict[str, str]:
    return signed(f"{'0' * 24}:{api_key.partition(':')[2]}")


ROWS = {
    "wrong secret": Row(_another_secret, 401, INVALID, "Invalid token: invalid signature"),
    "unknown id": Row(_another_id, 401, "UNKNOWN_ADMIN_API_KEY", "Unknown Admin API Key"),
    "old token": Row(
        lambda key: signed(key, -10 * MINUTE), 401, INVALID, "Invalid token: jwt expired"
    ),
    "an exp that is too far": Row(
        _with(age=600, life=3600),
        401,
        INVALID,
        "Invalid token: maxAge exceeded",
    ),
    "another audience": Row(
        _with(audience="/content/"),
        401,
        INVALID,
        "Invalid token: jwt audience invalid. expected: /\\/?admin\\/?$/",
    ),
    "no key id": Row(
        _with(has_id=False),
        400,
        "MISSING_ADMIN_API_KID",
        "Admin API kid missing.",
        "BadRequestError",
    ),
    "no token": Row(
        lambda _: {"authorization": "Ghost x"}, 400, INVALID, "Invalid token", "BadRequestError"
    ),
    "no header, or one that a proxy stripped": Row(
        lambda _: {}, 403, None, "Authorization failed", "NoPermissionError"
    ),
    "another scheme": Row(
        lambda _: {"authorization": "Bearer x"},
        401,
        "INVALID_AUTH_HEADER",
        'Authorization header format is "Authorization: Ghost [token]"',
    ),
}


def _check_error(answer: httpx.Response, row: Row) -> None:
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    [error] = answer.json()["errors"]
    assert list(error) == [
        *("message", "context", "type", "details", "property"),
        *("help", "code", "id", "ghostErrorCode"),
    ]
    said = answer.status_code, error["code"], error["message"], error["type"]
    assert said == (row.status, row.code, row.message, row.kind)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_refusal_has_its_words(site: Site, row: Row) -> None:
    _check_error(await ask("GET", f"{site.home}{PROOF}", row.headers(site.api_key)), row)


async def test_a_good_token_is_let_in(site: Site) -> None:
    """Also one that is signed in advance, which is then good for longer."""
    for later in (0, 10 * MINUTE):
        answer = await ask("GET", f"{site.home}{PROOF}", signed(site.api_key, later))
        assert answer.status_code == 200
        assert [list(user) for user in answer.json()["users"]] == [["id"]]


async def test_a_key_that_was_regenerated(site: Site) -> None:
    """The former one has a wrong secret; the new one has the same id."""
    new = await site.regenerate()
    assert new.partition(":")[0] == site.api_key.partition(":")[0]
    row = ROWS["wrong secret"]
    _check_error(await ask("GET", f"{site.home}{PROOF}", signed(site.api_key)), row)
    assert (await ask("GET", f"{site.home}{PROOF}", signed(new))).status_code == 200


async def test_an_integration_that_was_deleted(site: Site) -> None:
    await site.delete()
    row = ROWS["unknown id"]
    _check_error(await ask("GET", f"{site.home}{PROOF}", signed(site.api_key)), row)


async def test_what_a_site_states_of_itself(site: Site) -> None:
    """To anybody, also to one with a bad token: its address, its version, its permanent id."""
    for headers in ({}, _another_id(site.api_key)):
        answer = await ask("GET", f"{site.home}{API}/site/", headers)
        assert answer.status_code == 200
        stated = answer.json()["site"]
        assert {"title", "description", "url", "version", "site_uuid"} <= set(stated)
        assert stated["url"] == f"{site.home}/"
        assert stated["version"] == "6.65"
    assert answer.headers["date"].endswith("GMT")


async def test_an_address_without_its_last_slash(site: Site) -> None:
    """It is sent to the one with the slash."""
    answer = await ask("GET", f"{site.home}{API}/site")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{API}/site/")


async def test_a_post(site: Site) -> None:
    """201, with the post; 403 without a token, 422 without a title."""
    url, body = f"{site.home}{API}/posts/", {"posts": [{"title": "One word"}]}
    made = await ask("POST", url, signed(site.api_key), body)
    assert made.status_code == 201
    [post] = made.json()["posts"]
    assert (post["title"], post["status"]) == ("One word", "draft")
    assert made.headers["location"] == f"{site.home}{API}/posts/{post['id']}/"
    assert (await ask("POST", url, {}, body)).status_code == 403
    assert (await ask("POST", url, signed(site.api_key), {"x": 1})).status_code == 422
    assert (await site.titles()).count("One word") == 1


@pytest.mark.parametrize("path", [f"{API}/nothing/", "/ghost/api/"])
async def test_an_unknown_path_of_the_api(site: Site, path: str) -> None:
    row = Row(lambda _: {}, 404, None, "Resource not found", "NotFoundError")
    _check_error(await ask("GET", f"{site.home}{path}"), row)


async def test_an_unknown_page(site: Site) -> None:
    """HTML, as a request for another platform's API gets too."""
    for path in ("/nothing/", "/wp-json/"):
        answer = await ask("GET", f"{site.home}{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_two_requests_at_once(site: Site) -> None:
    """Each token stands by itself."""
    url = f"{site.home}{PROOF}"
    answers = await asyncio.gather(*(ask("GET", url, signed(site.api_key)) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
