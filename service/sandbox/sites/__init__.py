"""Stand-ins for platforms other than Bluesky: a server each, with its accounts in memory."""

from service.sandbox.sites.site import Site

SITES: tuple[type[Site], ...] = ()
"""The stand-ins. Add a new one's class here."""
