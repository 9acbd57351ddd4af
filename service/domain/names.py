"""Names that a request gives: of profiles and platforms, with their limits."""

import re
import unicodedata

from service.domain.errors import InvalidRequest, ProfileNotFound, WebhookNotFound

PROFILE_KEY = re.compile(r"prof_[a-z0-9]{1,64}", re.ASCII)
WEBHOOK_ID = re.compile(r"wh_[a-z0-9]{16}", re.ASCII)
MAX_PLATFORM_ID_LENGTH = 64
MAX_PROFILE_NAME_LENGTH = 200


def well_formed_profile_key(profile_key: str) -> str:
    """Return *profile_key*. Raise ProfileNotFound if no key has its form."""
    if not PROFILE_KEY.fullmatch(profile_key):
        raise ProfileNotFound
    return profile_key


def required_profile_key(profile_key: str) -> str:
    """Return *profile_key*. Raise InvalidRequest if it is empty, ProfileNotFound as above."""
    if not profile_key:
        raise InvalidRequest("profile_key", "is required")
    return well_formed_profile_key(profile_key)


def required_webhook_id(webhook_id: str) -> str:
    """Return *webhook_id*. Raise InvalidRequest if it is empty, WebhookNotFound if it is none."""
    if not webhook_id:
        raise InvalidRequest("webhook_id", "is required")
    if not WEBHOOK_ID.fullmatch(webhook_id):
        raise WebhookNotFound
    return webhook_id


def required_platform_id(platform: str) -> str:
    """Return *platform*. Raise InvalidRequest if it is empty or too long."""
    if not platform:
        raise InvalidRequest("platform", "is required")
    if len(platform) > MAX_PLATFORM_ID_LENGTH:
        raise InvalidRequest("platform", f"is longer than {MAX_PLATFORM_ID_LENGTH} characters")
    return platform


def check_profile_name(profile_name: str) -> None:
    """Raise InvalidRequest if *profile_name* is blank, too long, or holds control characters."""
    if not profile_name.strip():
        raise InvalidRequest("profile_name", "must not be empty; leave it out for none")
    if len(profile_name) > MAX_PROFILE_NAME_LENGTH:
        raise InvalidRequest("profile_name", f"is longer than {MAX_PROFILE_NAME_LENGTH} characters")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in profile_name):
        raise InvalidRequest("profile_name", "holds control characters")
