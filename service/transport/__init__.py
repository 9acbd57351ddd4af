"""The transports: the one boundary, the one table of statuses, and what speaks gRPC."""
