"""Who does the work where one process is not enough: one for each device of this machine, or a Ray cluster."""
