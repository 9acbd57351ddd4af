"""WordPress: the adapter and its stand-in, beside a real site."""
