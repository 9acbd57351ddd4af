"""API keys: `pc_live_<id>_<secret><checksum>`, minted and checked.

The id is 16 lower-case letters and digits; the secret is 256 random bits as 43 letters and
digits; the checksum is the CRC-32 of all before it, as 6. A key with a wrong checksum was never
minted: it is rejected without a read of the store.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections import OrderedDict
from time import monotonic
from typing import TypeVar

from service.crypto.keyring import KeyPurpose, Keyring
from service.domain.clock import Clock
from service.domain.errors import InsufficientScope, InvalidApiKey, MissingApiKey
from service.domain.ids import random_id
from service.domain.model import ApiKey, Scope
from service.domain.store import ApiKeyStore
from service.runtime.turns import Turns

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SHAPE = re.compile(r"pc_live_([a-z0-9]{16})_[0-9A-Za-z]{43}([0-9A-Za-z]{6})", re.ASCII)
K = TypeVar("K")
V = TypeVar("V")
CACHE_SECONDS = 5.0
MAX_CACHED_KEYS = 10_000
MAX_UNPROVEN_PER_TURN = 2
"""Calls in each turn of the event loop that have no key, or one that was not verified before."""


class ApiKeys:
    """Mints and checks API keys. A revoked key is rejected within 5 s."""

    def __init__(self, store: ApiKeyStore, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        # two caches, so that guessed ids cannot evict the keys in use
        self._known: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()
        self._unknown: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()
        # digest of a verified key → its id: a key's verifier never changes
        self._verified: OrderedDict[bytes, str] = OrderedDict()
        self._unproven = Turns(MAX_UNPROVEN_PER_TURN)

    def mint(self, tenant_id: str, name: str, scopes: frozenset[Scope]) -> tuple[str, ApiKey]:
        """Return a new key in plain text, which is shown once, and the record to store."""
        key_id = random_id()
        body = f"pc_live_{key_id}_{_base62(secrets.randbits(256), 43)}"
        plain = body + _checksum(body)
        keyring_key = self._keyring.active(KeyPurpose.API_KEY)
        verifier = _verifier(keyring_key.secret, plain)
        return plain, ApiKey(
            key_id, tenant_id, name, scopes, keyring_key.key_id, verifier, self._clock.now()
        )

    async def check(self, presented: str | None, within: float | None = None) -> ApiKey:
        """Return the key that *presented* is; raise MissingApiKey or InvalidApiKey.

        Its record may be *within* seconds old; default: CACHE_SECONDS.
        """
        if not presented:
            await self._unproven.take()
            raise MissingApiKey
        within = CACHE_SECONDS if within is None else within
        digest = hashlib.sha256(presented.encode(errors="replace")).digest()
        key_id = self._verified.get(digest)
        if key_id is not None:
            return await self.require_valid(key_id, within)
        # a flood of calls without a key, or with guessed ones, queues here; valid keys pass it
        await self._unproven.take()
        key = await self._verify(presented, within)
        _keep(self._verified, digest, key.key_id)
        return key

    async def require_valid(self, key_id: str, within: float) -> ApiKey:
        """Return the key of a call under way; raise InvalidApiKey if it was revoked or deleted.

        Its record may be *within* seconds old.
        """
        key = await self._find(key_id, within)
        if key is None or key.revoked_at is not None:
            raise InvalidApiKey
        return key

    async def _verify(self, presented: str, within: float) -> ApiKey:
        shape = SHAPE.fullmatch(presented)
        if shape is None or _checksum(presented[:-6]) != shape[2]:
            raise InvalidApiKey
        key = await self._find(shape[1], within)
        # constant cost: an unknown id, and a revoked key (whose keyring key may be retired), take
        # the same HMAC and comparison as a live key
        live = key is not None and key.revoked_at is None
        active = self._keyring.active(KeyPurpose.API_KEY).key_id
        ring_key_id = key.ring_key_id if key and live else active
        secret = self._keyring.key(KeyPurpose.API_KEY, ring_key_id).secret
        expected = key.verifier if key else bytes(32)
        matches = hmac.compare_digest(_verifier(secret, presented), expected)
        if key is None or not (live and matches):
            raise InvalidApiKey
        return key

    async def _find(self, key_id: str, within: float) -> ApiKey | None:
        now = monotonic()
        # reads both caches in either case, so that an unknown id takes no longer
        for cached in (self._known.get(key_id), self._unknown.get(key_id)):
            if cached is not None and now - cached[0] < within:
                return cached[1]
        key = await self._store.get(key_id)
        _keep(self._known if key else self._unknown, key_id, (now, key))
        return key


def _keep(cache: OrderedDict[K, V], key: K, value: V) -> None:
    """Put *value* in *cache*; evict the oldest entry beyond MAX_CACHED_KEYS."""
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > MAX_CACHED_KEYS:
        cache.popitem(last=False)


def require(key: ApiKey, scope: Scope | None) -> None:
    """Raise InsufficientScope unless *key* has *scope*; None requires none."""
    if scope is not None and scope not in key.scopes:
        raise InsufficientScope(scope.value)


def _verifier(secret: bytes, plain: str) -> bytes:
    return hmac.digest(secret, plain.encode(), "sha256")


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), 6)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits
