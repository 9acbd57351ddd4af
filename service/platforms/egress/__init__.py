"""Guarded outbound calls: public addresses only, with limits on time and size."""
