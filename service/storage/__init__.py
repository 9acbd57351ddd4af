"""The store: one text of SQL, raw drivers under it, migrations beside it."""
