"""Customers who leave within a month: a declared use case without code."""
