"""A stand-in for a Bluesky server and the PLC directory, on loopback, for development and tests.

Measured against the real server (`@atproto/pds`), whose answers it copies to the letter. State is
in `world`, `accounts` and `sessions`; answers are in `methods`, `xrpc` and `plc`; `server` runs it.
"""
