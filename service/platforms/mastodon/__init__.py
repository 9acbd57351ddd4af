"""Mastodon, and other servers that speak its API."""
