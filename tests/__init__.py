"""The tests: promises through the stub, and units where the input space is the point."""
