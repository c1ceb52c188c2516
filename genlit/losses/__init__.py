"""Losses and penalties: each with its equation, unit, reduction and source."""
