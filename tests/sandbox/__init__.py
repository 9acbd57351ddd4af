"""Tests of the sandbox: its promises, over HTTP, on a free port."""
