"""The learning cycle: from a snapshot of the database to a recorded decision."""
