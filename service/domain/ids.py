"""Ids: of profiles, tenants, keys and requests."""

import secrets
import string

_BASE36 = string.ascii_lowercase + string.digits


def random_id(length: int = 16) -> str:
    """Return *length* lower-case letters and digits from the system's source of secrets."""
    return "".join(secrets.choice(_BASE36) for _ in range(length))


def new_profile_key() -> str:
    """Return `prof_` and 16 lower-case letters and digits."""
    return f"prof_{random_id()}"
