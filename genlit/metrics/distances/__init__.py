"""What compares two sets of features, or scores one."""
