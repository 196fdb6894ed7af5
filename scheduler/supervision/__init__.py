"""Watching over the child process that carries out a run."""
