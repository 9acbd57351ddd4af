"""Events of connections: watches, and how long events are kept."""
