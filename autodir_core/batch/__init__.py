"""Many pictures: folders planned into a journal, worked off by any number of processes, resumable at any moment."""
