"""Every route that is not scoring."""
