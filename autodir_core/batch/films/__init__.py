"""Films: their frames, one decision for each shot, and the parts of a result that become one."""
