"""How fast genlit is beside loops written by hand."""
