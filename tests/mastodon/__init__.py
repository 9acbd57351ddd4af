"""snac, a real server that speaks Mastodon's API."""
