"""Webhooks: events of connections, sent to the tenants' own servers."""
