"""API keys: `pc_live_<id>_<secret><checksum>`, minted and checked.

The id is 16 lower-case letters and digits; the secret is 256 random bits as 43 letters and
digits; the checksum is the CRC-32 of all before it, as 6. A key with a wrong checksum was never
ours: it is refused without a look at the store.
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
CACHE_SIZE = 10_000
MAX_UNPROVEN_EACH_TURN = 2
"""Calls without a key, or with one that is not known yet, in each turn of the event loop."""


class ApiKeys:
    """Mints API keys, and tells whose a key is. Revoked keys stop within 5 s."""

    def __init__(self, store: ApiKeyStore, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        # known ids and unknown ones apart, so that guesses cannot push out the keys in use
        self._known: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()
        self._unknown: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()
        # the digests of keys that were found right, and their ids: a key's verifier never changes
        self._right: OrderedDict[bytes, str] = OrderedDict()
        self._unproven = Turns(MAX_UNPROVEN_EACH_TURN)

    def mint(self, tenant_id: str, name: str, scopes: frozenset[Scope]) -> tuple[str, ApiKey]:
        """A new key, which is shown once, and what is kept of it."""
        key_id = random_id()
        body = f"pc_live_{key_id}_{_base62(secrets.randbits(256), 43)}"
        plain = body + _checksum(body)
        keyring_key = self._keyring.active(KeyPurpose.API_KEY)
        verifier = _verifier(keyring_key.secret, plain)
        return plain, ApiKey(
            key_id, tenant_id, name, scopes, keyring_key.key_id, verifier, self._clock.now()
        )

    async def check(self, presented: str | None, within: float | None = None) -> ApiKey:
        """The key behind *presented*; raises MissingApiKey or InvalidApiKey.

        What is known of it may be that many seconds old, and CACHE_SECONDS at most.
        """
        if not presented:
            await self._unproven.take()
            raise MissingApiKey
        within = CACHE_SECONDS if within is None else within
        digest = hashlib.sha256(presented.encode(errors="replace")).digest()
        key_id = self._right.get(digest)
        if key_id is not None:
            return await self.require_valid(key_id, within)
        # a flood of calls without a key, or with guesses, waits here, and calls with a key pass it
        await self._unproven.take()
        key = await self._proved(presented, within)
        _keep(self._right, digest, key.key_id)
        return key

    async def require_valid(self, key_id: str, within: float) -> ApiKey:
        """The key of a call under way. Raises InvalidApiKey if it was revoked or deleted meanwhile.

        What is known of it may be *within* seconds old.
        """
        key = await self._find(key_id, within)
        if key is None or key.revoked_at is not None:
            raise InvalidApiKey
        return key

    async def _proved(self, presented: str, within: float) -> ApiKey:
        shape = SHAPE.fullmatch(presented)
        if shape is None or _checksum(presented[:-6]) != shape[2]:
            raise InvalidApiKey
        key = await self._find(shape[1], within)
        # an unknown id costs the same HMAC and comparison as a known one
        # and so does a revoked one, whose keyring key may be retired
        live = key is not None and key.revoked_at is None
        active = self._keyring.active(KeyPurpose.API_KEY).key_id
        ring_key_id = key.ring_key_id if key and live else active
        secret = self._keyring.key(KeyPurpose.API_KEY, ring_key_id).secret
        expected = key.verifier if key else bytes(32)
        right = hmac.compare_digest(_verifier(secret, presented), expected)
        if key is None or not (live and right):
            raise InvalidApiKey
        return key

    async def _find(self, key_id: str, within: float) -> ApiKey | None:
        now = monotonic()
        # both are looked into, whatever the first says, and so an unknown id takes no longer
        for cached in (self._known.get(key_id), self._unknown.get(key_id)):
            if cached is not None and now - cached[0] < within:
                return cached[1]
        key = await self._store.get(key_id)
        _keep(self._known if key else self._unknown, key_id, (now, key))
        return key


def _keep(cache: OrderedDict[K, V], key: K, value: V) -> None:
    """As the last of CACHE_SIZE at most."""
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > CACHE_SIZE:
        cache.popitem(last=False)


def require(key: ApiKey, scope: Scope | None) -> None:
    """Raise InsufficientScope unless *key* has *scope*; None asks for none."""
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
