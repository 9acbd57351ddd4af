"""The platforms, and the guarded way out to their servers."""
