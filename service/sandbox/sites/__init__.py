"""Stand-ins for platforms other than Bluesky: a server each, with its accounts in memory."""

from service.sandbox.sites.ghost import Ghost
from service.sandbox.sites.site import Site

SITES: tuple[type[Site], ...] = (Ghost,)
"""The stand-ins. Add a new one's class here."""
