"""What the rows share: the real command line to strike, what strikes it, how ends are compared and kept."""
