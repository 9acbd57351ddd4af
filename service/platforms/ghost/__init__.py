"""Ghost: connects by a site and an Admin API key."""
