"""Data quality of declared rows: one idea a file; a check answers findings."""
