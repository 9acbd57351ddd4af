"""The example programs in examples/: built with each language's own tools, and run."""
