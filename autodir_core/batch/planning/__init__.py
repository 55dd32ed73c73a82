"""What a batch works on, and where its results go."""
