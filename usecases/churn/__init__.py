"""Which customers leave within a month: a use case that is declared and has no code."""
