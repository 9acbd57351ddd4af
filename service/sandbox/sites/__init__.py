"""Stand-ins for platforms other than Bluesky: a server each, with its accounts in memory."""
