"""A DCGAN to which something happens at an iteration; offered by `--trust genlit.faults.struck`."""
