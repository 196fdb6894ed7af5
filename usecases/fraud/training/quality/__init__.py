"""Data quality that names the fault: small checks, each a pure function to findings."""
