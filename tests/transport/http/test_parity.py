"""Parity: gRPC and HTTP have the same results, in replies and in the stored data."""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from service.domain.model import Scope
from service.transport.http.routes import METHODS, ROUTES
from tests.connections.test_bad_input import CASES as BAD_INPUT
from tests.support import sharing
from tests.support.bluesky import Bluesky, Person, SandboxBluesky
from tests.support.running import Running, refusal_of
from tests.transport.http.edge import Edge

sandbox, sandboxed = sharing.sandbox, sharing.sandboxed

TABLES = (
    "profiles",
    "connections",
    "credentials",
    "sessions",
    "idempotency_records",
    "login_debits",
    "connect_links",
    "events",
)
RANDOM = re.compile(r"prof_[a-z0-9]{16}\b|req_[a-z0-9]{16}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UNEQUAL = {
    # drawn, sealed, or of one tenant or account alone
    "account_id",
    "connection",
    "digest",
    "display_name",
    "envelope",
    "generation",
    "holder",
    "key_id",
    "tenant_id",
    "username",
}

Fields = dict[str, Any]


class Way:
    """One transport with its own tenant, and the results of its calls."""

    def __init__(self, service: Running, api_key: str, tenant_id: str) -> None:
        self.service = service
        self.api_key = api_key
        self.tenant_id = tenant_id
        self.outcomes: list[Any] = []
        self._names: dict[str, str] = {}

    async def reply(self, method: str, request: Fields) -> Fields:
        """Return the reply as JSON, or {"error", "message"}."""
        raise NotImplementedError

    async def call(self, method: str, request: Fields | None = None, **more: Any) -> Fields:
        reply = await self.reply(method, {**(request or {}), **more})
        self.outcomes.append((method, self._plain(reply)))
        return reply

    def known_as(self, name: str, text: str) -> None:
        """Replace *text*, which is specific to this transport, by *name* in the results."""
        self._names[text] = name

    def _plain(self, value: Any) -> Any:
        """Return *value* with random names numbered in order of appearance."""
        if isinstance(value, dict):
            return {
                # each token is random
                key: bool(one) if key == "nextPageToken" else self._plain(one)
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if not isinstance(value, str):
            return value
        for found in RANDOM.findall(value):
            self._names.setdefault(found, f"random-{len(self._names)}")
        for text, name in self._names.items():
            value = value.replace(text, name)
        return TIME.sub("TIME", value)

    def state(self) -> Any:
        """Return the tenant's stored data without random, sealed and time values."""
        return {
            table: sorted(
                (
                    {
                        name: self._plain(value)
                        for name, value in row.items()
                        if name not in UNEQUAL and not name.endswith("_at") and name != "at"
                    }
                    for row in self.service.rows(
                        f"SELECT * FROM {table} WHERE tenant_id = ?", self.tenant_id
                    )
                ),
                key=repr,
            )
            for table in TABLES
        }


class OverGrpc(Way):
    async def reply(self, method: str, request: Fields) -> Fields:
        contract = METHODS[method]
        stub = {
            "ProfileService": self.service.profiles,
            "PlatformService": self.service.platforms,
            "WebhookService": self.service.webhooks,
        }[contract.containing_service.name]
        message = ParseDict(request, GetMessageClass(contract.input_type)())
        try:
            reply: Message = await getattr(stub, method)(
                message, metadata=(("x-api-key", self.api_key),), timeout=30
            )
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            answer = {"error": refusal.reason, "message": refusal.message}
            if refusal.reason == "RATE_LIMIT_EXCEEDED":
                answer["retry_after"] = "some"
            return answer
        [route] = [route for route in ROUTES if route.method == method]
        if route.message:
            return {"message": route.message}
        body = getattr(reply, route.reply_field) if route.reply_field else reply
        return MessageToDict(body, always_print_fields_with_no_presence=True)


class OverHttp(Way):
    edge: Edge

    async def reply(self, method: str, request: Fields) -> Fields:
        [route] = [route for route in ROUTES if route.method == method]
        rest = dict(request)
        path = re.sub(r"{(\w+)}", lambda name: quote(rest.pop(name[1], ""), safe=""), route.path)
        sent: Fields = {"json": rest} if route.body else {"params": _as_query(rest)}
        answer = await self.edge.ask(route.verb, path, headers={"x-api-key": self.api_key}, **sent)
        answered: Fields = answer.json()
        if answer.status_code >= 400:
            return {**answered, **({"retry_after": "some"} if "retry_after" in answered else {})}
        assert answer.status_code == route.status
        shown: Fields = _without_nulls(answered)
        return shown


def _as_query(fields: Fields) -> Fields:
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in fields.items()
    }


def _without_nulls(value: Any) -> Any:
    """Remove what protobuf's own mapping leaves out."""
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return value


@dataclass
class Stage:
    """A transport and accounts of its own, for one scenario."""

    way: Way
    bluesky: Bluesky
    people: list[Person] = field(default_factory=list)

    async def person(self, main_password: str = "") -> Person:
        person = await self.bluesky.person(main_password)
        self.people.append(person)
        self.way.known_as(f"handle-{len(self.people)}", person.handle)
        self.way.known_as(f"did-{len(self.people)}", person.did)
        return person

    async def connect(self, person: Person, password: str = "", **more: Any) -> Fields:
        credentials = {
            "handle": person.handle,
            "appPassword": password or person.app_password,
        }
        return await self.way.call(
            "ConnectProfile", platform="bluesky", credentials=credentials, **more
        )

    async def profile(self, **fields: Any) -> str:
        return str((await self.way.call("CreateProfile", fields))["profileKey"])


WRONG = "wxyz-wxyz-wxyz-wxyz"


async def connects(on: Stage) -> None:
    person, other = await on.person(), await on.person()
    key = (await on.connect(person))["profileKey"]
    await on.connect(person, profileKey=key)
    await on.connect(other, profileKey=key)
    await on.connect(other)
    await on.way.call("GetProfile", profileKey=key)


async def fails_to_connect(on: Stage) -> None:
    person = await on.person()
    await on.connect(person, WRONG)
    await on.connect(person, profileKey="prof_absent")
    await on.connect(person, profileKey="")
    await on.bluesky.revoke(person)
    await on.connect(person)
    credentials = {"handle": "nobody-is-here.test", "appPassword": WRONG}
    await on.way.call("ConnectProfile", platform="bluesky", credentials=credentials)


async def connects_by_the_main_password(on: Stage) -> None:
    person = await on.person("main-pass-word-here")
    await on.connect(person, person.main_password)


async def connects_accounts_that_are_away(on: Stage) -> None:
    down, asleep = await on.person(), await on.person()
    await on.bluesky.take_down(down)
    await on.bluesky.deactivate(asleep)
    await on.connect(down)
    await on.connect(asleep)


async def spends_the_budget(on: Stage) -> None:
    person = await on.person()
    for _ in range(6):
        await on.connect(person, WRONG)


async def repeats(on: Stage) -> None:
    person, other = await on.person(), await on.person()
    await on.connect(person, idempotencyKey="k")
    await on.connect(person, idempotencyKey="k")
    await on.connect(other, idempotencyKey="k")
    await on.profile(idempotencyKey="k")
    await on.profile(idempotencyKey="k")
    await on.way.call("CreateProfile", profileName="another", idempotencyKey="k")


async def creates(on: Stage) -> None:
    named, unnamed = await on.profile(profileName="Mine ☺"), await on.profile()
    for key in (named, unnamed):
        await on.way.call("GetProfile", profileKey=key)
    for name in ("", "   ", "x" * 201, "a\nb", "\x1b[31m", "a\u2028b"):
        await on.way.call("CreateProfile", profileName=name)


async def lists(on: Stage) -> None:
    for _ in range(5):
        await on.profile()
    page = await on.way.call("ListProfiles", pageSize=2)
    await on.way.call("ListProfiles", pageSize=2, pageToken=page["nextPageToken"])
    for size in (0, 1, 5, 1001, 2147483647, -1, -2147483648):
        found = await on.way.reply("ListProfiles", {"pageSize": size})
        on.way.outcomes.append(found.get("message") or len(found["profiles"]))
    await on.way.call("ListProfiles", pageToken=page["nextPageToken"], needsReconnectOnly=True)
    for token in ("x", "é", "x" * 5000, "\0"):
        await on.way.call("ListProfiles", pageToken=token)


async def lists_what_is_to_be_reconnected(on: Stage) -> None:
    person = await on.person()
    key = (await on.connect(person))["profileKey"]
    await on.profile()
    await on.way.service.execute(
        "UPDATE connections SET state = 'BROKEN', reconnect_reason = 'APP_PASSWORD_REVOKED'"
        " WHERE profile_key = ?",
        key,
    )
    await on.way.call("ListProfiles", needsReconnectOnly=True)
    await on.way.call("ListProfiles", needsReconnectOnly=False)


async def takes_apart(on: Stage) -> None:
    person = await on.person()
    key = (await on.connect(person))["profileKey"]
    for platform in ("linkedin", "myspace", "x" * 65, "bluesky\0", "é/ü"):
        await on.way.call("DisconnectPlatform", profileKey=key, platform=platform)
    await on.way.call("DisconnectPlatform", profileKey=key, platform="bluesky")
    await on.way.call("DisconnectPlatform", profileKey=key, platform="bluesky")
    await on.connect(person, profileKey=key)
    await on.way.call("DeleteProfile", profileKey=key)
    for method in ("GetProfile", "DeleteProfile"):
        await on.way.call(method, profileKey=key)
    await on.way.call("ListProfiles")


async def asks_for_what_is_not_there(on: Stage) -> None:
    for key in ("prof_absent", "no profile key", "../prof", "x" * 5000, "\0", "%2F", "é"):
        await on.way.call("GetProfile", profileKey=key)
        await on.way.call("DeleteProfile", profileKey=key)
        await on.way.call("DisconnectPlatform", profileKey=key, platform="bluesky")


async def verifies(on: Stage) -> None:
    person = await on.person()
    key = (await on.connect(person))["profileKey"]
    await on.way.call("VerifyConnection", profileKey=key, platform="bluesky")
    await on.way.call("VerifyConnection", profileKey=key, platform="linkedin")
    await on.way.call("VerifyConnection", profileKey="prof_absent", platform="bluesky")


async def lists_platforms(on: Stage) -> None:
    await on.way.call("ListPlatforms")


async def keeps_webhooks(on: Stage) -> None:
    scopes = Scope.WEBHOOKS_WRITE, Scope.PROFILES_WRITE
    tenant_id = on.way.tenant_id
    on.way.api_key, _ = await on.way.service.new_key(*scopes, tenant_id=tenant_id)
    url = "https://hooks.example.com/in?token=own"
    made = await on.way.reply("CreateWebhook", {"url": url, "eventTypes": ["connection.broken"]})
    assert made["secret"].startswith("whsec_")
    webhook_id = made["webhook"]["webhookId"]
    on.way.known_as("webhook", webhook_id)
    for secret in ("", "whsec_", "whsec_!", f"whsec_{'A' * 24}", "A" * 44):
        await on.way.call("CreateWebhook", url=url, secret=secret)
    for wrong in ("", "x", "http://example.com", "https://a:b@example.com", "https://10.0.0.1"):
        await on.way.call("CreateWebhook", url=wrong)
    await on.way.call("CreateWebhook", url=url, eventTypes=["connection.lost"])
    await on.way.call("ListWebhooks")
    for method in ("GetWebhook", "EnableWebhook", "ListFailedDeliveries"):
        await on.way.call(method, webhookId=webhook_id)
    rotated = await on.way.reply("RotateWebhookSecret", {"webhookId": webhook_id})
    assert rotated["secret"].startswith("whsec_")
    await on.way.call("ListFailedDeliveries", webhookId=webhook_id, pageToken="x")
    await on.way.call("ReplayDeliveries", webhookId=webhook_id, since="2026-01-02T03:04:05Z")
    await on.way.call("ReplayDeliveries", webhookId=webhook_id, messageId="x")
    await on.way.call("ReplayDeliveries", webhookId=webhook_id)
    await on.way.call("DeleteWebhook", webhookId=webhook_id)
    for method in ("GetWebhook", "TestWebhook", "RotateWebhookSecret", "DeleteWebhook"):
        await on.way.call(method, webhookId=webhook_id)


async def makes_connect_links(on: Stage) -> None:
    profile_key = await on.profile()
    fields = {"profileKey": profile_key, "platform": "bluesky", "appName": "App"}
    made = await on.way.reply("CreateConnectLink", fields)
    assert made.keys() == {"url", "expiresAt", "linkId"}
    on.way.known_as("link", made["linkId"])
    for _again in range(2):
        await on.way.call("RevokeConnectLink", linkId=made["linkId"])
    for link_id in ("x", f"link_{'a' * 16}"):
        await on.way.call("RevokeConnectLink", linkId=link_id)
    for wrong in (
        {"appName": ""},
        {"appName": "<b>\u202eApp"},
        {"profileKey": ""},
        {"profileKey": "prof_absent"},
        {"platform": "linkedin"},
        {"platform": "myspace"},
        {"returnUrl": "https://unregistered.example.com/"},
        {"returnUrl": "javascript:alert(1)"},
        {"locale": "-" * 36},
        {"expiresIn": -1},
        {"expiresIn": 86_401},
        {"idempotencyKey": "x" * 256},
    ):
        await on.way.call("CreateConnectLink", {**fields, **wrong})


async def has_no_key(on: Stage) -> None:
    for key in ("", "x", f"{on.way.api_key}x"):
        on.way.api_key = key
        for route in ROUTES:
            request = dict.fromkeys(re.findall(r"{(\w+)}", route.path), "prof_x")
            await on.way.call(route.method, request)


async def lacks_a_scope(on: Stage) -> None:
    on.way.api_key, _ = await on.way.service.new_key(
        Scope.SESSIONS_LEASE, tenant_id=on.way.tenant_id
    )
    for route in ROUTES:
        request = dict.fromkeys(re.findall(r"{(\w+)}", route.path), "prof_x")
        await on.way.call(route.method, request)


def bad_input(name: str) -> Callable[[Stage], Awaitable[None]]:
    async def play(on: Stage) -> None:
        request = {
            METHODS["ConnectProfile"].input_type.fields_by_name[field].json_name: (
                MessageToDict(value) if isinstance(value, Message) else value
            )
            for field, value in BAD_INPUT[name].request.items()
        }
        await on.way.call("ConnectProfile", request)

    return play


SCENARIOS = {
    play.__name__: play
    for play in (
        connects,
        fails_to_connect,
        connects_by_the_main_password,
        connects_accounts_that_are_away,
        spends_the_budget,
        repeats,
        creates,
        lists,
        lists_what_is_to_be_reconnected,
        takes_apart,
        asks_for_what_is_not_there,
        verifies,
        lists_platforms,
        keeps_webhooks,
        makes_connect_links,
        has_no_key,
        lacks_a_scope,
    )
}


async def compare(
    service: Running, bluesky: Bluesky, play: Callable[[Stage], Awaitable[None]]
) -> list[Any]:
    """Return the results of *play*, which must be equal on both transports."""
    ways: list[Way] = []
    async with Edge.of(service) as edge:
        for kind in (OverGrpc, OverHttp):
            tenant_id = await service.new_tenant()
            way = kind(service, (await service.new_key(tenant_id=tenant_id))[0], tenant_id)
            if isinstance(way, OverHttp):
                way.edge = edge
            await play(Stage(way, bluesky))
            ways.append(way)
    over_grpc, over_http = ways
    assert over_http.outcomes == over_grpc.outcomes
    assert over_http.state() == over_grpc.state()
    return over_http.outcomes


@pytest.mark.parametrize("name", SCENARIOS)
async def test_both_transports_have_the_same_results(
    service: Running, bluesky: Bluesky, name: str
) -> None:
    """Replies, reasons, messages and stored data are equal."""
    assert await compare(service, bluesky, SCENARIOS[name])


@pytest.mark.parametrize("name", BAD_INPUT)
async def test_invalid_input_has_the_same_errors(
    sandboxed: Running, sandbox: SandboxBluesky, name: str
) -> None:
    """Every case of the gRPC suite has the same reason and message, and nothing is stored."""
    [(_, refusal)] = await compare(sandboxed, sandbox, bad_input(name))
    assert refusal["error"] == BAD_INPUT[name].reason


def test_every_route_is_in_a_scenario() -> None:
    """No method that HTTP serves is left out."""
    played = "".join(inspect.getsource(play) for play in SCENARIOS.values())
    source = played + inspect.getsource(Stage)
    assert all(f'"{route.method}"' in source for route in ROUTES)
