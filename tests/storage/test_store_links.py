"""Connect links in the store: every engine keeps them alike."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.domain.errors import ConnectLinkNotFound, InvalidApiKey, ProfileNotFound
from service.domain.links import ConnectLink, LinkSecret, LinkState, NewLink, TenantPage
from service.domain.model import DAY, SECOND, Profile, Tenant
from service.storage.store import SqlStore
from tests.storage.test_store import login
from tests.support.engines import on_both, opened

engine = on_both

NOW = 1_800_000_000 * SECOND
LINK = ConnectLink(
    *("link_a", "ten_a", "key", None, "", "Example ☺", "https://app.example.com/", "s", "de"),
    *(NOW, NOW + DAY),
)
DIGEST = b"\x01" * 32


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore(await opened(database_url))
    await store.tenants.create(Tenant("ten_a", "A", NOW))
    await store.tenants.create(Tenant("ten_b", "B", NOW))
    await store.profiles.create("ten_a", Profile("prof_other", None, NOW))
    yield store
    await store.close()


def new(digest: bytes = DIGEST, **changes: object) -> NewLink:
    return NewLink(replace(LINK, **changes), LinkSecret(digest, "token-1"), None)  # type: ignore[arg-type]


async def found(store: SqlStore, digest: bytes = DIGEST) -> ConnectLink | None:
    stored = await store.links.get(digest)
    return stored[0] if stored else None


async def test_a_link_comes_back_as_it_was_added(store: SqlStore) -> None:
    """With its tenant's page, and by its digest only; of a profile or a tenant that is not there,
    none is added."""
    await store.links.add(new())
    assert await store.links.get(DIGEST) == (LINK, TenantPage())
    page = TenantPage("My company", "data:image/png;base64,AA==", "#0a5fb8", ("https://a.test",))
    assert await store.links.set_page("ten_a", page, NOW)
    assert await store.links.set_page("ten_a", replace(page, name=""), NOW)
    assert await store.links.get(DIGEST) == (LINK, replace(page, name=""))
    assert await store.links.page("ten_b") == TenantPage()
    assert await store.links.page("ten_none") is None
    assert not await store.links.set_page("ten_none", page, NOW)
    assert await found(store, b"\x02" * 32) is None
    with pytest.raises(ProfileNotFound):
        await store.links.add(new(b"\x03" * 32, link_id="b", profile_key="prof_absent"))
    with pytest.raises(ProfileNotFound):
        await store.links.add(new(b"\x03" * 32, tenant_id="ten_b", profile_key="prof_other"))
    with pytest.raises(InvalidApiKey):
        await store.links.add(new(b"\x03" * 32, link_id="b", tenant_id="ten_none"))
    assert await store.secrets.key_uses(NOW) == {"token-1": 1}
    assert await store.secrets.key_uses(NOW + DAY) == {}


async def test_tries_are_counted_at_once_and_never_passed(store: SqlStore) -> None:
    """Of ten at once, those that fit are counted; none of another tenant, or after the end."""
    await store.links.add(new())
    taken = await asyncio.gather(
        *(store.links.take_try("ten_a", LINK.link_id, 3, NOW) for _ in range(10))
    )
    assert sorted(taken) == [False] * 7 + [True] * 3
    assert not await store.links.take_try("ten_b", LINK.link_id, 9, NOW)
    assert not await store.links.take_try("ten_a", LINK.link_id, 9, NOW + DAY)
    stored = await found(store)
    assert stored is not None
    assert stored.tries == 3


async def test_a_login_uses_a_link_once(store: SqlStore) -> None:
    """Of two at once one is saved, with its profile; the other leaves nothing."""
    await store.links.add(new())
    logins = [login(profile_key=key, link_id=LINK.link_id) for key in ("prof_a", "prof_b")]
    results = await asyncio.gather(
        *(store.connections.save_login(each) for each in logins), return_exceptions=True
    )
    [refused] = [each for each in results if each is not None]
    assert isinstance(refused, ConnectLinkNotFound)
    stored = await found(store)
    assert stored is not None
    assert stored.state_at(NOW) is LinkState.USED
    assert stored.profile_key in ("prof_a", "prof_b")
    assert stored.platform == "bluesky"
    [other] = {"prof_a", "prof_b"} - {stored.profile_key}
    with pytest.raises(ProfileNotFound):
        await store.profiles.get("ten_a", other)
    await store.profiles.delete("ten_a", stored.profile_key, NOW)
    assert await found(store) is None


async def test_a_link_that_was_revoked_is_not_used(store: SqlStore) -> None:
    """Nor one of another tenant; and one that was used is not revoked any more."""
    await store.links.add(new())
    with pytest.raises(ConnectLinkNotFound):
        await store.links.revoke("ten_b", LINK.link_id, NOW)
    await store.links.revoke("ten_a", LINK.link_id, NOW + 1)
    await store.links.revoke("ten_a", LINK.link_id, NOW + 2)
    stored = await found(store)
    assert stored is not None
    assert stored.revoked_at == NOW + 1
    with pytest.raises(ConnectLinkNotFound):
        await store.connections.save_login(login(link_id=LINK.link_id))
    await store.links.add(new(b"\x02" * 32, link_id="link_b", tenant_id="ten_b"))
    with pytest.raises(ConnectLinkNotFound):
        await store.connections.save_login(login(link_id="link_b"))
    await store.links.add(new(b"\x03" * 32, link_id="link_c"))
    await store.connections.save_login(login(link_id="link_c"))
    await store.links.revoke("ten_a", "link_c", NOW)
    stored = await found(store, b"\x03" * 32)
    assert stored is not None
    assert stored.revoked_at is None


async def test_links_go_with_their_time_and_their_tenant(store: SqlStore) -> None:
    """Those that have expired by then; and all of a tenant, with its page."""
    await store.links.add(new())
    await store.links.add(new(b"\x02" * 32, link_id="link_b", expires_at=NOW + 2 * DAY))
    assert await store.links.set_page("ten_a", TenantPage("A"), NOW)
    assert not await store.links.delete_expired(NOW + DAY)
    assert await found(store) is None
    assert await found(store, b"\x02" * 32) is not None
    while await store.tenants.delete_batch("ten_a", NOW) is not None:
        pass
    assert await found(store, b"\x02" * 32) is None
