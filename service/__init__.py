"""postcore profiles: connects people's social accounts by credentials."""

__version__ = "0.1.0"
