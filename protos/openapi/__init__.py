"""Builds the OpenAPI document, and the page that shows it, from the contract."""
