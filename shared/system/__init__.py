"""Operating-system helpers: atomic file writes, and child processes."""
