"""Shared code to compute one feature definition both over a table and live."""
