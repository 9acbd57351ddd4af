"""The way out and the Bluesky adapter, among servers that lie: real sockets, nothing mocked."""
