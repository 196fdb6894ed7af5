"""Brings a file of somebody else's transactions into TransactionHistoryLogs."""

REJECTED = ".rejected.csv"
"""Behind the name of a file: its rows that did not fit."""
