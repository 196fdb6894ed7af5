"""Drift: has the traffic left what the champion was trained on? Pure, no I/O."""
