"""Decoding: values that another version has written, a newer one too."""

import json
from typing import NamedTuple

import pytest

from service.domain.model import Connection, ConnectionState, EventKind, ReconnectReason, Scope
from service.domain.records import LoginPurpose
from service.storage import decoding

FIRST_FIELDS = (
    *("platform", "account_id", "username", "display_name", "state", "reconnect_reason"),
    *("connected_at", "last_verified_at", "next_check_at"),
)
"""Of every event that was ever written."""
REASON = ReconnectReason.SERVER_MOVED
KEPT = Connection(
    "bluesky", "did:plc:a", "a.example", "A", ConnectionState.BROKEN, REASON, 1, 2, None
)


def written(**changes: object) -> str:
    return json.dumps({**json.loads(decoding.connection_to_json(KEPT)), **changes})


def test_a_connection_comes_back_as_it_was() -> None:
    assert decoding.connection_from_json(written()) == KEPT


def test_a_field_of_a_newer_version_is_ignored() -> None:
    newer = written(later={"any": ["thing"]}, another=None)
    assert decoding.connection_from_json(newer) == KEPT


def test_a_field_that_an_older_version_lacked_has_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Newer(NamedTuple):
        platform: str
        account_id: str
        username: str
        display_name: str
        state: ConnectionState
        reconnect_reason: ReconnectReason | None
        connected_at: int
        last_verified_at: int
        next_check_at: int | None
        added: str = "default"

    monkeypatch.setattr(decoding, "Connection", Newer)
    found = decoding.connection_from_json(written())
    assert isinstance(found, Newer)
    assert found == (*KEPT, "default")


def test_every_field_that_was_added_has_a_default() -> None:
    added = set(Connection._fields) - set(FIRST_FIELDS)
    assert added <= set(Connection._field_defaults)
    assert set(FIRST_FIELDS) <= set(Connection._fields)


def test_a_value_of_a_newer_version_is_taken_as_the_contract_asks() -> None:
    """An unknown state as unverified; an unknown reason as one that asks for a reconnect."""
    found = decoding.connection_from_json(written(state="ASLEEP", reconnect_reason="TOO_LOUD"))
    assert found.state is ConnectionState.UNVERIFIED
    assert found.needs_reconnect
    assert found.reconnect_reason is ReconnectReason.CREDENTIAL_UNREADABLE


@pytest.mark.parametrize("state", list(ConnectionState))
def test_an_unknown_kind_of_event_is_the_one_that_its_connection_shows(
    state: ConnectionState,
) -> None:
    assert decoding.event_kind("PAUSED", KEPT._replace(state=state)).value == state.value
    assert decoding.event_kind("PAUSED", None) is EventKind.DISCONNECTED
    assert decoding.event_kind("RECOVERED", KEPT) is EventKind.RECOVERED


def test_an_unknown_scope_allows_nothing() -> None:
    assert decoding.scopes("profiles:read profiles:admin") == {Scope.PROFILES_READ}
    assert decoding.scopes(" ".join(Scope)) == frozenset(Scope)


def test_an_unknown_purpose_of_a_login_is_upkeep() -> None:
    assert decoding.login_purpose("RENEWAL") is LoginPurpose.UPKEEP
    assert decoding.login_purpose("connect") is LoginPurpose.CONNECT
