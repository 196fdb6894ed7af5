"""When to learn: due instants, the table that sets them, and what starts a run."""
