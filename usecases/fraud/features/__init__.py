"""The 43 features: one catalogue, one kernel, two ways to feed it."""
