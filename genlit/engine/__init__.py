"""What every model's training stands on: the clock, gradient synchronisation, averaging, safety."""
