"""Bluesky, and other servers that speak AT Protocol."""
