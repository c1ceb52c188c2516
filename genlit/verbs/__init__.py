"""What the command line does, one verb a file."""
