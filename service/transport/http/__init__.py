"""The HTTP/JSON server."""
