"""Experiment tracking: what a run tells a server that keeps experiments; never in its way."""
