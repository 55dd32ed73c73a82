"""Training: losses, data and one loop for the three trainable parts, on procedurally drawn pictures."""
