"""Guarded outbound calls: to public addresses alone, bounded in time and size."""
