"""WordPress: connects by a site, a login name and an application password."""
