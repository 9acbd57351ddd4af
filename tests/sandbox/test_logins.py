"""createSession: the logins that it accepts, their scopes, and the errors of the others."""

import time

import pytest

from service.sandbox.accounts import SEEDS, Account, Seed, Status
from service.sandbox.server import SandboxServer
from service.sandbox.world import World, plant

from .caller import (
    APP_PASSWORD,
    INVALID_LOGIN,
    MAIN_PASSWORD,
    REVOKED,
    TAKEN_DOWN,
    Caller,
    client,
    parts,
    refusal,
)
from .conftest import Clock


@pytest.mark.parametrize("name", ["user.bsky.social", "User.BSKY.social", "did", "DID", "email"])
async def test_an_account_logs_in_by_any_of_its_names(
    caller: Caller, user: Account, name: str
) -> None:
    """Handle in any case, DID and e-mail address all lead to the account."""
    names = {"did": user.did, "DID": user.did.upper(), "email": user.email}

    session = await caller.session(names.get(name, name))

    assert (session["did"], session["handle"]) == (user.did, "user.bsky.social")
    assert session["active"] is True
    assert "status" not in session


@pytest.mark.parametrize(
    ("identifier", "password"),
    [
        ("user.bsky.social", "wrong"),
        ("user.bsky.social", ""),
        ("user.bsky.social", APP_PASSWORD.upper()),
        ("user.bsky.social", APP_PASSWORD.replace("-", "")),
        ("user.bsky.social", APP_PASSWORD + " "),
        ("nobody.bsky.social", APP_PASSWORD),
        ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", APP_PASSWORD),
        ("@user.bsky.social", APP_PASSWORD),
        (" user.bsky.social", APP_PASSWORD),
        ("\u202auser.bsky.social\u202c", APP_PASSWORD),
        ("user", APP_PASSWORD),
        ("at://user.bsky.social", APP_PASSWORD),
        ("", ""),
        # its app password, though right, is refused as a wrong one would be
        ("takendown.bsky.social", "take-ndow-napp-pass"),
    ],
)
async def test_refused_logins_cannot_be_told_apart(
    caller: Caller, identifier: str, password: str
) -> None:
    """A wrong name, a wrong password and a misspelt one get the same answer."""
    assert refusal(await caller.log_in(identifier, password)) == INVALID_LOGIN


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.handle)
async def test_every_seed_logs_in_as_its_table_says(
    caller: Caller, world: World, seed: Seed
) -> None:
    """Both documented passwords of each account play the branch that the account is there for."""
    app = await caller.log_in(seed.handle, seed.app_password)
    main = await caller.log_in(seed.handle, seed.password)

    if seed.status is Status.TAKENDOWN:
        assert (refusal(app), refusal(main)) == (INVALID_LOGIN, TAKEN_DOWN)
        return
    scope = "com.atproto.appPassPrivileged" if seed.privileged else "com.atproto.appPass"
    assert parts(app.json()["accessJwt"])[1]["scope"] == scope
    assert parts(main.json()["accessJwt"])[1]["scope"] == "com.atproto.access"
    assert app.json().get("status") == (None if app.json()["active"] else seed.status.value)


def test_seeded_accounts_are_the_same_in_every_run(world: World) -> None:
    """A DID depends on the handle alone, and has the shape of a did:plc."""
    again = plant(World())
    for seed in SEEDS:
        account, twin = world.find(seed.handle), again.find(seed.handle)
        assert account
        assert twin
        assert account.did == twin.did
        method, letters = account.did.rsplit(":", 1)
        assert method == "did:plc"
        assert len(letters) == 24
        assert set(letters) <= set("abcdefghijklmnopqrstuvwxyz234567")
    user = world.find("user.bsky.social")
    assert user
    assert user.did == "did:plc:7k6czvplwyyft5t3agnbqznz"


async def test_tokens_say_what_the_real_servers_say(
    caller: Caller, user: Account, clock: Clock
) -> None:
    """Kinds, claims and lives are those of the real server: two hours and ninety days."""
    session = await caller.session("user.bsky.social")

    now = int(clock())
    common = {"aud": "did:web:localhost", "sub": user.did, "iat": now}
    header, claims = parts(session["accessJwt"])
    assert header == {"typ": "at+jwt", "alg": "HS256"}
    assert claims == {**common, "scope": "com.atproto.appPass", "exp": now + 7200}
    header, claims = parts(session["refreshJwt"])
    assert header == {"typ": "refresh+jwt", "alg": "HS256"}
    assert len(claims.pop("jti")) == 43
    assert claims == {**common, "scope": "com.atproto.refresh", "exp": now + 90 * 24 * 3600}


async def test_the_answer_is_the_real_servers(
    caller: Caller, server: SandboxServer, user: Account
) -> None:
    """A session comes in the real server's order, with the directory's document in it."""
    session = await caller.session("user.bsky.social")

    fields = "accessJwt refreshJwt did didDoc handle email emailConfirmed active"
    assert list(session) == fields.split()
    assert session["didDoc"] == (await caller.document(user.did)).json()
    assert session["didDoc"]["service"][0]["serviceEndpoint"] == server.origin


async def test_a_main_password_in_an_app_passwords_shape_is_a_main_password(
    caller: Caller, world: World
) -> None:
    """The kind of a password depends on its account, and not on its form."""
    session = await caller.session("alice.test", "main-pass-word-used")

    assert parts(session["accessJwt"])[1]["scope"] == "com.atproto.access"


async def test_a_deactivated_account_logs_in_and_says_so(caller: Caller) -> None:
    """Deactivation is no refusal: the session comes, marked."""
    session = await caller.session("deactivated.bsky.social", "deac-tiva-teda-pass")

    assert (session["active"], session["status"]) == (False, "deactivated")


async def test_the_owner_of_a_takendown_account_may_ask_to_be_let_in(
    caller: Caller, world: World
) -> None:
    """allowTakendown and the main password open a session that can do nothing."""
    password = "closed-by-moderators"
    answer = await caller.log_in("takendown.bsky.social", password, allowTakendown=True)

    session = answer.json()
    assert (session["active"], session["status"]) == (False, "takendown")
    assert parts(session["accessJwt"])[1]["scope"] == "com.atproto.takendown"
    assert refusal(await caller.read(session)) == (400, "InvalidToken", "Bad token scope")
    assert refusal(await caller.refresh(session)) == TAKEN_DOWN

    world.set_status(session["did"], Status.ACTIVE)
    assert refusal(await caller.refresh(session)) == REVOKED


@pytest.mark.parametrize("password", ["x" * 513, "\N{GRINNING FACE}" * 257])
async def test_a_password_beyond_512_units_is_refused_unread(caller: Caller, password: str) -> None:
    """The limit is 512 UTF-16 units, and the refusal has words of its own."""
    assert refusal(await caller.log_in("user.bsky.social", password)) == (
        401,
        "AuthenticationRequired",
        "Password too long. Consider resetting your password.",
    )


@pytest.mark.parametrize("password", ["x" * 512, "\N{GRINNING FACE}" * 256])
async def test_a_password_of_512_units_is_compared(caller: Caller, password: str) -> None:
    """At the limit a password is merely wrong."""
    assert refusal(await caller.log_in("user.bsky.social", password)) == INVALID_LOGIN


@pytest.mark.parametrize("password", [MAIN_PASSWORD, "wrong"])
async def test_every_login_takes_the_login_wait(password: str) -> None:
    """Good or bad, a login takes at least as long as the world says."""
    server = SandboxServer(plant(World(login_wait=0.05)))
    await server.start()
    async with client(server.origin) as http:
        await http.get("/xrpc/_health")
        began = time.monotonic()
        await Caller(http).log_in("user.bsky.social", password)
        assert time.monotonic() - began >= 0.05
    await server.stop()
