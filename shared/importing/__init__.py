"""Imports files of transactions from other systems into TransactionHistoryLogs."""

REJECTED = ".rejected.csv"
"""Behind the name of a file: its rows that did not fit."""
