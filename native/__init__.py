"""What leans on private parts of numba, SQLite, Linux: a check at start, a fallback for each.

docs/couplings.md lists them. This package imports nothing of ours; every other may import it.
"""
