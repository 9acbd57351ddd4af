"""A real WordPress for tests, from Debian's packages."""
