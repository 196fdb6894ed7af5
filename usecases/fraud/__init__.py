"""Fraud: score card and account transactions, and explain what was decided."""
