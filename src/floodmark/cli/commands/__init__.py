"""The commands, a file each: arguments in, calls to the packages below, nothing else."""
