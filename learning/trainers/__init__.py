"""Trainers: rows and labels become a candidate, one graph that says what was learned."""
