"""Metrics of trained models; their names carry the protocol."""
