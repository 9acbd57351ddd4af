"""The SQL of each part of the store, one text for SQLite and PostgreSQL.

Parameters are `$1`, `$2`, …, cast where no column beside them gives PostgreSQL their type. Times
are microseconds since the epoch. Statements that are not limited to one tenant say so.
"""
