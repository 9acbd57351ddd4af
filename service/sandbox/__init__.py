"""A stand-in for two Bluesky servers and the PLC directory, on loopback, for development and tests.

Its answers copy those of the real server (`@atproto/pds`); tests/conformance compares them.

- State: `accounts`, `world` (one server), `sessions`, `tokens`, `plc` (the directory), `network`.
- Answers: `xrpc`, `methods`, `body`, `refusals`; `faults` and `breakages` replace them.
- HTTP: `listener`, `server`, `control`; `sandbox` runs all of it. `cli` and `remote` control it.
"""
