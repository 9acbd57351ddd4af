"""The postcore example in Python: it connects an account, handles each kind of refusal, leases,
posts and watches."""
