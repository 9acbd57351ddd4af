"""Registry: finds the adapter of a platform. A new credential platform is one line in ADAPTERS."""

from collections.abc import Callable, Iterable
from types import MappingProxyType

from service.domain.errors import UnsupportedPlatform, UseGetForOAuth
from service.domain.model import AuthMethod, PlatformCard
from service.domain.platform import CredentialPlatform
from service.platforms.bluesky.adapter import BlueskyPlatform
from service.platforms.egress.context import EgressContext
from service.platforms.ghost.adapter import GhostPlatform
from service.platforms.mastodon.adapter import MastodonPlatform
from service.platforms.wordpress.adapter import WordPressPlatform

ADAPTERS: tuple[Callable[[EgressContext], CredentialPlatform], ...] = (
    BlueskyPlatform,
    GhostPlatform,
    MastodonPlatform,
    WordPressPlatform,
)
"""The platforms that connect by credentials. Add a new adapter's class here."""

OAUTH = MappingProxyType(
    {
        "facebook": "Facebook",
        "instagram": "Instagram",
        "linkedin": "LinkedIn",
        "twitter": "X (Twitter)",
    }
)
ALSO_KNOWN_AS = MappingProxyType({"x": "twitter"})


class Registry:
    """Finds platforms by their exact, lower-case id."""

    def __init__(self, adapters: Iterable[CredentialPlatform]) -> None:
        self._adapters: dict[str, CredentialPlatform] = {}
        for adapter in adapters:
            if (platform := adapter.card.platform) in self._adapters:
                raise ValueError(f"two adapters have the id {platform!r}")
            self._adapters[platform] = adapter

    def by_credentials(self, platform: str) -> CredentialPlatform:
        """Return the adapter of *platform*; raise UseGetForOAuth or UnsupportedPlatform."""
        if (adapter := self._adapters.get(platform)) is not None:
            return adapter
        if ALSO_KNOWN_AS.get(platform, platform) in OAUTH:
            raise UseGetForOAuth(platform)
        raise UnsupportedPlatform(platform, ",".join(sorted(self._adapters)))

    def cards(self) -> list[PlatformCard]:
        """Return the description of every platform, sorted by id."""
        oauth = [PlatformCard(name, title, AuthMethod.OAUTH) for name, title in OAUTH.items()]
        ours = [adapter.card for adapter in self._adapters.values()]
        return sorted(ours + oauth, key=lambda card: card.platform)
