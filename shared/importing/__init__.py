"""Brings a file of somebody else's transactions into TransactionHistoryLogs."""
