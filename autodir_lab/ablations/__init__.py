"""Ablations of the paper's ideas at the size of the mini model, with their spread over seeds."""
