"""Situations, a module a group; most of them are one line each."""
