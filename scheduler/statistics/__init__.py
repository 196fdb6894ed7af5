"""Paired statistics that say whether a candidate is better than the champion; pure, no I/O."""
