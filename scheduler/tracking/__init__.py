"""Experiment tracking: reports runs to a tracking server, and never blocks or fails a run."""
