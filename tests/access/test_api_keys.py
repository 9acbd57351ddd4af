"""API keys: minted, kept as an HMAC alone, checked."""

import re
from pathlib import Path

import pytest

from service.access.api_keys import BASE62, CACHE_SIZE, ApiKeys, _checksum
from service.crypto.keyring import KeyPurpose, Keyring, create_keyring, new_keys
from service.domain.clock import SystemClock
from service.domain.errors import InvalidApiKey
from service.domain.model import DEFAULT_SCOPES, ApiKey, Scope, Tenant
from service.storage import statements
from service.storage.sqlite import SqliteEngine
from service.storage.store import SqlStore


class Keys:
    """A store of keys alone that counts how often it is asked."""

    def __init__(self) -> None:
        self.kept: dict[str, ApiKey] = {}
        self.asked = 0

    async def get(self, key_id: str) -> ApiKey | None:
        self.asked += 1
        return self.kept.get(key_id)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def api_keys(keys: Keys, tmp_path: Path) -> ApiKeys:
    create_keyring(tmp_path / "keyring.json", new_keys("test"))
    return ApiKeys(keys, Keyring(tmp_path / "keyring.json"), SystemClock())  # type: ignore[arg-type]


async def test_a_minted_key_is_checked(api_keys: ApiKeys, keys: Keys) -> None:
    """Its shape is the documented one, it is found again, and asked for once in 5 s."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES | {Scope.SESSIONS_LEASE})
    keys.kept[kept.key_id] = kept
    assert re.fullmatch(r"pc_live_[a-z0-9]{16}_[0-9A-Za-z]{49}", plain)
    for _ in range(3):
        assert await api_keys.check(plain) == kept
    assert keys.asked == 1


async def test_what_is_kept_holds_no_key(api_keys: ApiKeys) -> None:
    """An HMAC of 32 bytes, which its repr does not show either."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    secret = plain.split("_")[3]
    assert len(kept.verifier) == 32
    assert secret not in repr(kept)
    assert repr(kept.verifier) not in repr(kept)


async def test_one_wrong_letter_never_reaches_the_store(api_keys: ApiKeys, keys: Keys) -> None:
    """The checksum catches every single slip."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.kept[kept.key_id] = kept
    for place in range(len("pc_live_"), len(plain)):
        for letter in {"0", "a", "Z"} - {plain[place]}:
            with pytest.raises(InvalidApiKey):
                await api_keys.check(plain[:place] + letter + plain[place + 1 :])
    assert keys.asked == 0


async def test_a_guess_with_a_right_checksum_is_refused(api_keys: ApiKeys, keys: Keys) -> None:
    """The secret counts, not the id."""
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.kept[kept.key_id] = kept
    body = f"pc_live_{kept.key_id}_{'0' * 43}"
    with pytest.raises(InvalidApiKey):
        await api_keys.check(body + _checksum(body))
    assert await api_keys.check(plain) == kept


async def test_guesses_do_not_grow_without_bound_nor_push_out_keys_in_use(
    api_keys: ApiKeys, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown ids have a bounded cache of their own."""
    monkeypatch.setattr("service.access.api_keys.CACHE_SIZE", 50)
    plain, kept = api_keys.mint("ten_a", "name", DEFAULT_SCOPES)
    keys.kept[kept.key_id] = kept
    await api_keys.check(plain)
    for number in range(200):
        body = f"pc_live_{number:016d}_{'0' * 43}"
        with pytest.raises(InvalidApiKey):
            await api_keys.check(body + _checksum(body))
    assert len(api_keys._unknown) == 50
    asked = keys.asked
    assert await api_keys.check(plain) == kept
    assert keys.asked == asked
    assert CACHE_SIZE > 1000


async def test_another_keyrings_key_does_not_fit(
    api_keys: ApiKeys, keys: Keys, tmp_path: Path
) -> None:
    """A stolen database cannot be made to accept keys minted elsewhere."""
    create_keyring(tmp_path / "other.json", new_keys("test"))
    other = Keyring(tmp_path / "other.json")
    plain, kept = ApiKeys(keys, other, SystemClock()).mint(  # type: ignore[arg-type]
        "ten_a", "name", DEFAULT_SCOPES
    )
    ours = api_keys._keyring.active(KeyPurpose.API_KEY).key_id
    keys.kept[kept.key_id] = ApiKey(
        kept.key_id, "ten_a", "name", DEFAULT_SCOPES, ours, kept.verifier, 1
    )
    with pytest.raises(InvalidApiKey):
        await api_keys.check(plain)


def test_minted_keys_are_all_different(api_keys: ApiKeys) -> None:
    """And use all their letters."""
    minted = {api_keys.mint("ten_a", "", DEFAULT_SCOPES)[0] for _ in range(300)}
    assert len(minted) == 300
    assert set(BASE62) <= set("".join(plain.split("_")[3] for plain in minted))


async def test_an_id_that_there_is_not_is_read_like_one_that_there_is(database: Path) -> None:
    """One row of the same columns comes back from the store for either, and what it makes of it
    is the key or none: how long that takes tells nobody which ids there are."""
    engine = await SqliteEngine.open(database)
    store = SqlStore(engine)
    await store.tenants.create(Tenant("ten_a", "A", 1))
    key = ApiKey("a" * 16, "ten_a", "", DEFAULT_SCOPES, "api-1", b"v" * 32, 1)
    assert await store.api_keys.add(key)
    [there] = await engine.read(statements.API_KEY, key.key_id, bytes(32))
    [not_there] = await engine.read(statements.API_KEY, "b" * 16, bytes(32))
    told = [await store.api_keys.get(one) for one in (key.key_id, "b" * 16, not_there["key_id"])]
    await store.close()
    assert there.keys() == not_there.keys()
    assert told == [key, None, None]
