"""Traces of the scoring service: what is kept is decided when everything about it is known."""
