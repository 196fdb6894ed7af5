"""The schedule of runs: due instants, the table that sets them, and the start of a run."""
