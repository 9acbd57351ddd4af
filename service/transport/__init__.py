"""Transports: gRPC and HTTP servers around one boundary and one table of statuses."""
