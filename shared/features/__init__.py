"""What any use case needs to compute one feature definition twice: over a table, and live."""
