"""Profiles: what tenants connect accounts to."""
