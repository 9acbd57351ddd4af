"""What a Bluesky server answers: one suite for the sandbox and for the real server."""
