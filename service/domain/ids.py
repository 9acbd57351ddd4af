"""Ids: of profiles, tenants, keys and requests."""

import secrets
import string

_BASE36 = string.ascii_lowercase + string.digits


def random_id(length: int = 16) -> str:
    """Return *length* lower-case letters and digits from the system's source of secrets."""
    # one number for all of them: a call for each would take most of the time of a connect's ids
    number, found = secrets.randbelow(len(_BASE36) ** length), []
    for _ in range(length):
        number, one = divmod(number, len(_BASE36))
        found.append(_BASE36[one])
    return "".join(found)


def new_profile_key() -> str:
    """Return `prof_` and 16 lower-case letters and digits."""
    return f"prof_{random_id()}"
