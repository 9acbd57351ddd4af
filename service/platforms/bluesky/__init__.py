"""Bluesky, and what else speaks AT Protocol."""
