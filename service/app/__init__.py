"""The application: what a start opens, and the one function that builds everything."""
