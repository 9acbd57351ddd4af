"""Network: two servers, one directory, and every operation on them."""

from collections.abc import Callable

import pytest

from service.sandbox.accounts import SEEDS, Status
from service.sandbox.faults import FAULTS, Fault, Hang
from service.sandbox.network import Network
from service.sandbox.refusals import Refusal

USER = "user.bsky.social"


@pytest.fixture
def network() -> Network:
    return Network()


def refused(turn: Callable[[], object]) -> tuple[int, str]:
    """Return status and error of an operation that fails."""
    with pytest.raises(Refusal) as caught:
        turn()
    return caught.value.status, caught.value.error


@pytest.mark.parametrize("name", ["", "email", "did", "capitals"])
def test_an_account_goes_by_any_of_its_names(network: Network, name: str) -> None:
    """Handle, e-mail address and DID, in any case."""
    account = network.account(USER)
    names = {"email": account.email, "did": account.did, "capitals": USER.upper()}

    assert network.account(names.get(name, USER)) is account


def test_a_new_account_has_an_app_password(network: Network) -> None:
    """Passwords are made up where none is given, in the real ones' alphabet."""
    made = network.create("New.test")
    given = network.create("given.test", password="main", app_password="abcd", email="a@b.test")

    [app_password] = made.app_passwords.values()
    assert len(app_password.password) == 19
    assert set(app_password.password) <= set("abcdefghijklmnopqrstuvwxyz234567-")
    assert network.first.log_in("new.test", app_password.password)[0] is made
    assert (given.password, given.email) == ("main", "a@b.test")
    assert given.app_passwords["sandbox"].password == "abcd"


def test_names_are_taken_once(network: Network) -> None:
    """Handles, e-mail addresses and the names of an account's app passwords."""
    network.migrate("alice.test")
    network.rename("alice.test", "moved.test")

    assert refused(lambda: network.create(USER)) == (409, "Taken")
    assert refused(lambda: network.create("moved.test")) == (409, "Taken")
    email = network.account(USER).email
    assert refused(lambda: network.create("new.test", email=email)) == (409, "Taken")
    assert refused(lambda: network.rename(USER, "moved.test")) == (409, "Taken")
    again = lambda: network.create_app_password(USER, called="sandbox")  # noqa: E731
    assert refused(again) == (409, "Taken")


def test_an_account_can_be_renamed_to_what_it_was_called(network: Network) -> None:
    """Also where a copy of it stayed behind at the other server."""
    network.migrate(USER)
    network.rename(USER, "renamed.test")

    network.rename("renamed.test", USER)
    network.rename(USER, USER.upper())

    assert network.account(USER).handle == USER


@pytest.mark.parametrize("handle", ["", "user", "a..test", "@alice.test", "alice.test/", "x" * 260])
def test_a_handle_has_to_be_one(network: Network, handle: str) -> None:
    """An account that no client could name is not made."""
    assert refused(lambda: network.create(handle)) == (400, "InvalidValue")
    assert refused(lambda: network.rename(USER, handle)) == (400, "InvalidValue")


@pytest.mark.parametrize(
    "turn",
    [
        lambda network: network.delete("nobody.test"),
        lambda network: network.take_down("nobody.test"),
        lambda network: network.migrate("nobody.test"),
        lambda network: network.rename("nobody.test", "new.test"),
        lambda network: network.change_password("nobody.test"),
        lambda network: network.create_app_password("nobody.test"),
        lambda network: network.revoke_app_password("nobody.test", "sandbox"),
        lambda network: network.break_(Hang(), account="nobody.test"),
    ],
)
def test_an_unknown_account_is_named(network: Network, turn: Callable[[Network], None]) -> None:
    """The sentence names it, and the command that lists the accounts."""
    with pytest.raises(Refusal, match=r"no account nobody\.test here; .*accounts list"):
        turn(network)


def test_app_passwords_are_named_in_turn(network: Network) -> None:
    """By the first name that was never in use; a revoked one is taken when it is asked for."""
    assert network.create_app_password(USER)[0] == "sandbox-1"
    assert network.create_app_password(USER, privileged=True)[0] == "sandbox-2"
    assert network.account(USER).app_passwords["sandbox-2"].privileged

    network.revoke_app_password(USER, "sandbox")

    unknown = lambda: network.revoke_app_password(USER, "sandbox")  # noqa: E731
    assert refused(unknown) == (404, "UnknownAppPassword")
    assert network.create_app_password(USER, called="sandbox", password="x") == ("sandbox", "x")


@pytest.mark.parametrize(
    ("before", "switch", "after"),
    [
        ("active", "take_down", "takendown"),
        ("active", "suspend", "suspended"),
        ("active", "deactivate", "deactivated"),
        ("takendown", "lift", "active"),
        ("suspended", "lift", "active"),
        ("deactivated", "activate", "active"),
        ("deactivated", "take_down", "takendown"),
        ("takendown", "suspend", "suspended"),
        ("active", "lift", None),
        ("deactivated", "lift", None),
        ("active", "activate", None),
        ("takendown", "activate", None),
        ("takendown", "deactivate", None),
        ("deactivated", "deactivate", None),
    ],
)
def test_statuses_change_only_as_allowed(
    network: Network, before: str, switch: str, after: str | None
) -> None:
    """What moderators did only moderators undo; what is not so cannot be undone."""
    network.first.set_status(network.account(USER).did, Status(before))
    turn = getattr(network, switch)

    if after is None:
        assert refused(lambda: turn(USER)) == (409, "WrongState")
    else:
        turn(USER)
    assert network.account(USER).status == (after or before)


def test_a_deleted_account_is_gone_and_its_name_free(network: Network) -> None:
    """It is no longer listed, and another account can take the handle."""
    did = network.account(USER).did

    network.delete(USER)

    assert refused(lambda: network.account(USER)) == (404, "UnknownAccount")
    assert did not in [account.did for account in network.accounts()]
    assert network.create(USER).did != did


def test_a_tombstoned_did_goes_nowhere(network: Network) -> None:
    """The directory takes no more operations for it."""
    network.tombstone(USER)

    assert refused(lambda: network.migrate(USER)) == (409, "WrongState")
    assert refused(lambda: network.rename(USER, "new.test")) == (409, "WrongState")


def test_a_reset_restores_the_start(network: Network) -> None:
    """The accounts of the seed where they were, as they were, and nothing broken."""
    before = list(map(repr, network.accounts()))
    network.migrate(USER)
    network.revoke_app_password("alice.test", "sandbox")
    network.create("new.test")
    network.delete("custom.example-domain.com")
    network.tombstone("privileged.bsky.social")
    network.break_(Hang())

    network.reset()

    assert list(map(repr, network.accounts())) == before
    assert [account.handle for account in network.accounts()] == [each.handle for each in SEEDS]
    assert not any(network.ledger[account.did].tombstoned for account in network.accounts())
    assert network.second.accounts() == []
    assert list(network.breakages) == []


@pytest.mark.parametrize("method", ["nonsense", "com.atproto.nonsense", "x.createSession", ""])
def test_a_fault_is_for_a_method_that_there_is(network: Network, method: str) -> None:
    """Else it would never be met; the sentence names those that there are."""
    with pytest.raises(
        Refusal, match=r"there are _health, all, createRecord, createSession, .*plc"
    ):
        network.break_(Hang(), method)


@pytest.mark.parametrize("method", ["createSession", "com.atproto.server.createSession"])
def test_a_method_goes_by_its_last_part_too(network: Network, method: str) -> None:
    """As people say it, and as XRPC does."""
    assert network.break_(Hang(), method).method == "createSession"


def test_faults_are_numbered_like_a_shells_jobs(network: Network) -> None:
    """From the highest in force; an unknown number is an error."""
    assert [network.break_(Hang()).number for _ in range(3)] == [1, 2, 3]
    network.mend(2)
    assert network.break_(Hang()).number == 4
    assert refused(lambda: network.mend(2)) == (404, "UnknownFault")
    network.mend()
    assert network.break_(Hang()).number == 1
    assert refused(lambda: network.break_(Hang(), calls=0)) == (400, "InvalidValue")


@pytest.mark.parametrize("kind", FAULTS.values(), ids=FAULTS)
def test_every_fault_says_what_it_is(kind: type[Fault]) -> None:
    """In a first line that stands in the command's help."""
    assert kind.__doc__
    assert kind.__doc__.splitlines()[0].endswith(".")
