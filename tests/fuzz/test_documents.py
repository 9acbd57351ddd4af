"""Documents: answers of directory, resolver or well-known file prove an account, its absence, or
nothing."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.errors import PlatformUnavailable
from service.domain.model import Account
from service.domain.platform import AccountGone
from service.platforms.bluesky.identity import Identity, NoSuchAccount
from service.platforms.egress.origin import Origin

from .fixed_egress import DID, GOOD, HANDLE, SERVER, STATUSES, Answered, wire
from .json_texts import json_texts, with_others
from .target import EDITS, SEEDS, Read, Target

WHOLE = json.dumps(GOOD).encode()
HEAD_END = rb"\n\r?\n"  # as h11 reads it: a line may end without its carriage return
OTHER = Account(DID, "bob.example.com", "https://old.example.com")


@contextmanager
def opened(_: Path) -> Iterator[Read]:
    with asyncio.Runner() as runner:
        answered = Answered()
        by_names, by_resolver = (
            Identity(answered.outside(resolver=resolver)) for resolver in (False, True)
        )

        async def identify(identity: Identity) -> Account | None:
            try:
                return await identity.account(HANDLE)
            except (NoSuchAccount, PlatformUnavailable):
                return None
            finally:
                await answered.close()

        async def look_up() -> Account | None:
            try:
                return await by_names.resolve_account(OTHER)
            except (AccountGone, PlatformUnavailable) as error:
                if isinstance(error, AccountGone):
                    # permanent absence: no random answer proves it
                    assert any(word in answered.wire for word in (b" 410 ", b"plc_tomb", b"\\u"))
                return None
            finally:
                await answered.close()

        def read(data: bytes) -> None:
            answered.wire = wire(data, WHOLE)
            answered.names.texts_told = [f"did={DID}"]
            proved(runner.run(identify(by_names)), answered.wire)
            proved(runner.run(look_up()), answered.wire)
            answered.names.texts_told = None
            for identity in (by_names, by_resolver):
                # the same bytes are first the DID, then its document
                proved(runner.run(identify(identity)), answered.wire)

        yield read


def proved(account: Account | None, sent: bytes) -> None:
    """Check that *sent* supports everything in *account*, if there is one."""
    if account is None or b"chunked" in sent.lower():
        return
    _, body = re.split(HEAD_END, sent, maxsplit=1)
    said = json.loads(body.decode("utf-8-sig", "replace"))
    assert said["id"] == account.account_id
    if account.username != OTHER.username:
        assert f"at://{account.username}" in [str(name).lower() for name in said["alsoKnownAs"]]
    assert account.origin in [origin(service) for service in said["service"]]


def origin(service: Any) -> str:
    try:
        return str(Origin.parse(service["serviceEndpoint"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""


TARGET = Target(
    opened,
    (
        *(b"\1\0" + seed[1:] for seed in SEEDS),
        b"\0\0{}",
        b"\2HTTP/1.1 200 OK\r\n\r\n{}",
    ),
)

NAMES = ("id", "did", "error", "type", "alsoKnownAs", "service", "serviceEndpoint", "handle")
VALUES = (DID, f"at://{HANDLE}", "#atproto_pds", "AtprotoPersonalDataServer", SERVER)
STATUS = st.integers(0, len(STATUSES) - 1).map(lambda status: bytes([status]))
TEXTS = json_texts((*NAMES, "plc_tombstone"), VALUES)
BODIES = st.tuples(STATUS, TEXTS).map(lambda parts: b"\0" + b"".join(parts))
NEARLY = with_others(GOOD, TEXTS).map(b"\0\0".__add__)
CHANGED = st.tuples(STATUS, EDITS).map(lambda parts: b"\1" + parts[0] + parts[1][1:])
WIRES = st.binary().map(b"\2".__add__) | st.tuples(
    st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2 ", b"http/1.1 "]),
    st.sampled_from([b"200", b"999", b"100", b"-1", b"2000", b"\xb2", b"304"]),
    st.lists(
        st.sampled_from(
            [
                b" OK",
                b"\r\n",
                b"\n",
                b"content-length: 2",
                b"content-length: -1",
                b"{}",
                b"\r\n\r\n",
                b"transfer-encoding: chunked",
                b"content-encoding: br",
                b"ffffffffffff\r\n",
                b"\0",
                b"content-type: application/json; charset=x",
                b"set-cookie: a=b",
                b": x",
                b"x" * 70_000,
            ]
        )
    ).map(b"".join),
).map(lambda parts: b"\2" + b"".join(parts))


@settings(deadline=None, max_examples=200)
@given(BODIES | NEARLY | CHANGED | WIRES)
@example(b"\0\0" + WHOLE.replace(b"did:plc:aaaa", b"did:plc:bbbb"))
@example(b"\0\0" + WHOLE.replace(b"alice", b"bob"))
@example(b"\0\0" + b"[" * 5000)
@example(b'\0\0{"id":' + b"9" * 5000 + b"}")
@example(b"\0\0\xff\xfe{\0}\0")
@example(b"\1\0\n\0\0\0")
def test_any_answer(read: Read, data: bytes) -> None:
    """The result is an account that its document names in both directions, or none.

    No unexpected exception is raised.
    """
    read(data)


@pytest.mark.parametrize("seed", TARGET.seeds)
def test_seeds(read: Read, seed: bytes) -> None:
    """The fuzzer's seeds keep the promise."""
    read(seed)
