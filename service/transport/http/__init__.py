"""The HTTP server: JSON over HTTP/1.1."""
