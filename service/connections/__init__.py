"""Connecting accounts, keeping their sessions, checking and lending them."""
