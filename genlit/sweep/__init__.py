"""Sweeps: many trainings of one experiment, by a search space in W&B's schema."""
