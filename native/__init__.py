"""Code that uses private parts of numba, SQLite and Linux, each with a check and a fallback.

docs/couplings.md lists them. This package imports nothing of ours; every other may import it.
"""
