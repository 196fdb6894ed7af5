"""Execution: where independent tasks of a run are carried out: in turn, in processes, on Ray."""
