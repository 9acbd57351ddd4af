"""The keyring, the envelopes that it seals, and tokens."""
