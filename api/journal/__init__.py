"""Decisions on local disk before the answer leaves, and on their way to the database."""
