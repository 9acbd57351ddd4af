"""The connect page: where a person connects an account by a link."""
