"""Stored results of finished steps: a run that died resumes after the last of them."""
