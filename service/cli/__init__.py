"""The command `postcore`."""
