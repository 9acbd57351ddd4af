"""Mastodon's adapter and stand-in."""
