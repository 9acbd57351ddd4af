"""A real Bluesky server for the tests."""
