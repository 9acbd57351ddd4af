"""Stand-ins for platforms other than Bluesky: a server each, with its accounts in memory."""

from service.sandbox.sites.ghost import GhostSite
from service.sandbox.sites.mastodon import MastodonSite
from service.sandbox.sites.site import Site
from service.sandbox.sites.wordpress import WordPressSite

SITES: tuple[type[Site], ...] = (GhostSite, MastodonSite, WordPressSite)
"""The stand-ins. Add a new one's class here."""
