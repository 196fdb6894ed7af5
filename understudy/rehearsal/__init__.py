"""Rehearsals: a bad version goes live in a service of its own, and is rolled back."""
