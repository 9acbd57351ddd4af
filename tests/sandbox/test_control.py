"""The control surface: every path, and the callers that it rejects."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.sandbox.accounts import CHANGES, SEEDS
from service.sandbox.faults import FAULTS
from service.sandbox.network import Network
from service.sandbox.sandbox import Sandbox

from .caller import Caller, client, refusal
from .conftest import Clock

USER = "user.bsky.social"
JSON = {"content-type": "application/json"}
# what each fault cannot do without
NEEDED: dict[str, dict[str, Any]] = {
    "status": {"status": 503},
    "redirect": {"to": "https://elsewhere.example/"},
}


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(Network(now=clock)) as sandbox:
        yield sandbox


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with client(f"http://{sandbox.control.address}") as http:
        yield http


@pytest.fixture
async def caller(sandbox: Sandbox) -> AsyncIterator[Caller]:
    async with client(sandbox.first.origin) as http:
        yield Caller(http)


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.json()


async def test_accounts_are_listed_with_their_passwords(
    control: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    """It is a sandbox: nothing in it is a secret."""
    listed = (ok(await control.get("/accounts")))["accounts"]

    assert [each["handle"] for each in listed] == [seed.handle for seed in SEEDS]
    assert listed[0] == {
        "did": sandbox.network.account(USER).did,
        "handle": USER,
        "email": f"{USER}@mail.test",
        "status": "active",
        "tombstoned": False,
        "server": sandbox.first.origin,
        "password": "correct-horse-battery",
        "appPasswords": [
            {"name": "sandbox", "password": "abcd-efgh-ijkl-mnop", "privileged": False}
        ],
    }
    assert ok(await control.get(f"/accounts/{listed[0]['did']}")) == listed[0]


async def test_an_account_is_made_and_deleted(control: httpx.AsyncClient, caller: Caller) -> None:
    """With passwords given or made up, and by any of its names."""
    given = {"handle": "a.test", "password": "main", "appPassword": "app", "email": "a@b.test"}
    one = ok(await control.post("/accounts", json=given))
    other = ok(await control.post("/accounts", json={"handle": "b.test"}))

    assert (one["password"], one["appPasswords"][0]["password"]) == ("main", "app")
    assert (await caller.session("a@b.test", "app"))["did"] == one["did"]
    assert (await caller.session("b.test", other["appPasswords"][0]["password"]))["active"]
    assert ok(await control.delete("/accounts/a@b.test")) == {}
    assert (await caller.log_in("a.test", "app")).status_code == 401


async def test_app_passwords_are_made_and_revoked(
    control: httpx.AsyncClient, caller: Caller
) -> None:
    """By name; a privileged one is marked."""
    path = f"/accounts/{USER}/app-passwords"
    made = ok(await control.post(path))
    given = {"name": "a b/c", "password": "given", "privileged": True}
    assert ok(await control.post(path, json=given)) == {
        "name": "a b/c",
        "password": "given",
    }

    assert (await caller.log_in(USER, made["password"])).status_code == 200
    assert (await caller.log_in(USER, "given")).status_code == 200
    ok(await control.delete(f"{path}/{made['name']}"))
    assert (await caller.log_in(USER, made["password"])).status_code == 401
    listed = (ok(await control.get(f"/accounts/{USER}")))["appPasswords"]
    assert [(each["name"], each["privileged"]) for each in listed] == [
        ("sandbox", False),
        ("a b/c", True),
    ]


async def test_the_main_password_is_changed(control: httpx.AsyncClient, caller: Caller) -> None:
    """To a given one or a made-up one; sessions end, app passwords do not."""
    session = await caller.session(USER)
    path = f"/accounts/{USER}/change-password"

    assert ok(await control.post(path, json={"password": "new"})) == {"password": "new"}
    assert (await caller.refresh(session)).status_code == 400
    assert (await caller.log_in(USER, "new")).status_code == 200
    made_up = (ok(await control.post(path)))["password"]
    assert (await caller.log_in(USER, made_up)).status_code == 200
    assert (await caller.log_in(USER)).status_code == 200


async def test_a_handle_is_changed(control: httpx.AsyncClient, caller: Caller) -> None:
    """The account comes back under its new one."""
    renamed = ok(await control.post(f"/accounts/{USER}/rename", json={"handle": "New.test"}))

    assert renamed["handle"] == "new.test"
    assert (await caller.resolve("new.test")).json() == {"did": renamed["did"]}


@pytest.mark.parametrize(
    ("switches", "status"),
    [
        (["take-down"], "takendown"),
        (["take-down", "lift"], "active"),
        (["suspend"], "suspended"),
        (["deactivate"], "deactivated"),
        (["deactivate", "activate"], "active"),
        (["tombstone"], "active"),
        (["migrate"], "active"),
    ],
)
async def test_a_word_changes_an_account(
    control: httpx.AsyncClient, sandbox: Sandbox, switches: list[str], status: str
) -> None:
    """Each answers with the account as it then is."""
    for switch in switches:
        assert switch in CHANGES
        changed = ok(await control.post(f"/accounts/{USER}/{switch}"))

    assert changed["status"] == sandbox.network.account(USER).status == status
    assert changed["tombstoned"] == ("tombstone" in switches)
    moved = sandbox.second if "migrate" in switches else sandbox.first
    assert changed["server"] == moved.origin


@pytest.mark.parametrize("kind", FAULTS)
async def test_every_fault_is_put_in_force_and_mended(
    control: httpx.AsyncClient, sandbox: Sandbox, caller: Caller, kind: str
) -> None:
    """What is set of it stands in the list; mended, it is gone."""
    did = sandbox.network.account(USER).did
    given = {"kind": kind, "method": "createSession", "account": USER, "calls": 3}

    made = ok(await control.post("/faults", json=given | NEEDED.get(kind, {})))

    assert made["number"] == 1
    assert made.items() >= (given | NEEDED.get(kind, {}) | {"account": did}).items()
    assert (ok(await control.get("/faults")))["faults"] == [made]
    assert ok(await control.delete("/faults/1")) == {}
    assert (ok(await control.get("/faults")))["faults"] == []
    assert (await caller.log_in(USER)).status_code == 200


async def test_a_fault_answers_at_both_servers(
    control: httpx.AsyncClient, sandbox: Sandbox, caller: Caller
) -> None:
    """By default for all methods, accounts and calls, until all are mended."""
    for status in (500, 501):
        given = {"kind": "status", "status": status, "error": "Mine"}
        made = ok(await control.post("/faults", json=given))
    assert (made["method"], made["account"], made["calls"]) == ("all", None, None)
    async with client(sandbox.second.origin) as http:
        for each in (caller, Caller(http)):
            assert refusal(await each.resolve(USER)) == (501, "Mine", "Mine")

    ok(await control.delete("/faults"))

    assert (await caller.resolve(USER)).status_code == 200


async def test_mending_releases_calls_that_hang(control: httpx.AsyncClient, caller: Caller) -> None:
    """The call continues."""
    ok(await control.post("/faults", json={"kind": "hang", "calls": 1}))
    call = asyncio.create_task(caller.log_in(USER))
    async with asyncio.timeout(5):
        while (ok(await control.get("/faults")))["faults"][0]["calls"]:
            pass

    ok(await control.delete("/faults"))

    assert (await call).status_code == 200


async def test_calls_are_counted_by_method_and_path(
    control: httpx.AsyncClient, sandbox: Sandbox, caller: Caller
) -> None:
    """At both servers, and from zero after a request; calls of the control surface do not count."""
    did = sandbox.network.account(USER).did
    await caller.log_in(USER)
    await caller.document(did)
    await caller.http.get("/xrpc/_health")
    async with client(sandbox.second.origin) as http:
        await Caller(http).log_in(USER)

    login = "/xrpc/com.atproto.server.createSession"
    assert ok(await control.get("/counts")) == {
        "methods": {"createSession": 2, "plc": 1, "_health": 1},
        "paths": {
            sandbox.first.origin: {login: 1, f"/{did}": 1, "/xrpc/_health": 1},
            sandbox.second.origin: {login: 1},
        },
    }
    assert ok(await control.delete("/counts")) == {}
    assert (ok(await control.get("/counts")))["methods"] == {}


async def test_a_reset_restores_the_state_at_the_start(
    control: httpx.AsyncClient, sandbox: Sandbox, caller: Caller
) -> None:
    """Accounts, faults and counts; sessions of the accounts that are there again are good again."""
    before = ok(await control.get("/accounts"))
    session = await caller.session(USER)
    for switch in ("migrate", "take-down"):
        ok(await control.post(f"/accounts/{USER}/{switch}"))
    ok(await control.post("/faults", json={"kind": "not-json"}))

    assert ok(await control.post("/reset")) == {}

    assert (ok(await control.get("/counts")))["methods"] == {}
    assert ok(await control.get("/accounts")) == before
    assert (await caller.refresh(session)).status_code == 200


@pytest.mark.parametrize(
    ("verb", "path", "body", "expected"),
    [
        ("GET", "/accounts/nobody.test", None, (404, "UnknownAccount")),
        ("POST", "/accounts/nobody.test/suspend", None, (404, "UnknownAccount")),
        ("DELETE", f"/accounts/{USER}/app-passwords/none", None, (404, "UnknownAppPassword")),
        ("GET", "/", None, (404, "UnknownSwitch")),
        ("GET", "/accounts/", None, (404, "UnknownSwitch")),
        ("PUT", "/accounts", None, (404, "UnknownSwitch")),
        ("POST", f"/accounts/{USER}/explode", None, (404, "UnknownSwitch")),
        ("POST", f"/accounts/{USER}/lift", None, (409, "WrongState")),
        ("POST", f"/accounts/{USER}/lift", {"a": 1}, (400, "InvalidRequest")),
        ("POST", "/accounts", None, (400, "InvalidRequest")),
        ("POST", "/accounts", [], (400, "InvalidRequest")),
        ("POST", "/accounts", {"handle": 1}, (400, "InvalidRequest")),
        ("POST", "/accounts", {"handle": "unknown"}, (400, "InvalidValue")),
        ("POST", "/accounts", {"handle": USER}, (409, "Taken")),
        ("POST", "/accounts", {"handle": "a.test", "pasword": "b"}, (400, "InvalidRequest")),
        ("POST", "/faults", {"kind": "explode"}, (404, "UnknownFault")),
        ("POST", "/faults", {"kind": "status"}, (400, "InvalidRequest")),
        ("POST", "/faults", {"kind": "status", "status": "503"}, (400, "InvalidRequest")),
        ("POST", "/faults", {"kind": "status", "status": True}, (400, "InvalidRequest")),
        ("POST", "/faults", {"kind": "status", "status": 5}, (400, "InvalidValue")),
        ("POST", "/faults", {"kind": "hang", "status": 500}, (400, "InvalidRequest")),
        ("POST", "/faults", {"kind": "hang", "calls": 0}, (400, "InvalidValue")),
        ("POST", "/faults", {"kind": "hang", "calls": 1.5}, (400, "InvalidRequest")),
        ("POST", "/faults", {"kind": "hang", "method": "nonsense"}, (404, "UnknownMethod")),
        ("POST", "/faults", {"kind": "hang", "account": "unknown"}, (404, "UnknownAccount")),
        ("DELETE", "/faults/1", None, (404, "UnknownFault")),
        ("DELETE", "/faults/none", None, (404, "UnknownFault")),
    ],
)
async def test_an_invalid_request_has_an_error(
    control: httpx.AsyncClient,
    sandbox: Sandbox,
    verb: str,
    path: str,
    body: Any,
    expected: tuple[int, str],
) -> None:
    """An error to branch on, a message to read, and nothing has changed."""
    before = ok(await control.get("/accounts"))

    status, error, message = refusal(await control.request(verb, path, json=body))

    assert (status, error) == expected
    assert message
    assert ok(await control.get("/accounts")) == before
    assert list(sandbox.network.breakages) == []


async def test_a_body_has_to_be_json(control: httpx.AsyncClient) -> None:
    """And be announced as that, as no form of a web page is."""
    form = await control.post("/accounts", data={"handle": "a.test"})
    assert refusal(form)[:2] == (400, "InvalidRequest")
    broken = await control.post("/accounts", content="{", headers=JSON)
    assert refusal(broken)[:2] == (400, "SyntaxError")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "http://127.0.0.1:2581"},
        {"origin": "null"},
        {"host": "elsewhere.example"},
        {"host": "elsewhere.example:2581"},
        {"host": "localhost.elsewhere.example"},
        {"host": "192.0.2.1"},
        {"host": "0.0.0.0"},
        {"host": "127.0.0.1.nip.io"},
        {"host": "["},
        {"host": ""},
    ],
)
@pytest.mark.parametrize(("verb", "path"), [("GET", "/accounts"), ("POST", "/reset")])
async def test_no_web_page_drives_it(
    control: httpx.AsyncClient, sandbox: Sandbox, headers: dict[str, str], verb: str, path: str
) -> None:
    """Neither one that says where it is from, nor one that has given this machine another name."""
    sandbox.network.migrate(USER)

    answer = await control.request(verb, path, headers=headers)

    assert refusal(answer)[:2] == (403, "Forbidden")
    assert sandbox.network.second.accounts()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9", "[::1]:2"])
async def test_this_machine_drives_it(control: httpx.AsyncClient, host: str) -> None:
    """By any name that is always its own."""
    ok(await control.get("/accounts", headers={"host": host}))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
async def test_it_listens_to_this_machine_alone(sandbox: Sandbox, host: str) -> None:
    """It shows every password."""
    with pytest.raises(ValueError, match="loopback"):
        await sandbox.control.start(host)


async def test_an_address_that_is_taken_is_named(sandbox: Sandbox) -> None:
    """Nothing of what was started before it is left."""
    before = asyncio.all_tasks()
    with pytest.raises(Exception, match=f"cannot listen on {sandbox.control.address}; is the port"):
        await Sandbox().start(control_address=sandbox.control.address)
    assert asyncio.all_tasks() == before


async def test_a_disconnect_is_not_logged(
    sandbox: Sandbox, control: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that never comes to its end is dropped in silence."""
    host, port = sandbox.control.address.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = "POST /accounts HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: 9\r\n\r\n{{".encode())
    ok(await control.get("/accounts"))
    writer.close()
    await writer.wait_closed()
    ok(await control.get("/accounts"))

    assert caplog.records == []


async def test_it_has_an_address_while_it_runs(sandbox: Sandbox) -> None:
    """And none before and after; stopping twice is harmless."""
    assert sandbox.control.address.startswith("127.0.0.1:")
    await sandbox.stop()
    await sandbox.stop()
    with pytest.raises(RuntimeError):
        _ = sandbox.control.address
