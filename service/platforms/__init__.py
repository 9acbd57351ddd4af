"""The platforms, and guarded outbound calls to their servers."""
