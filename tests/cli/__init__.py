"""The command `postcore` and the serving process, mostly as processes of their own."""
