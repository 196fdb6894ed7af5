"""Versions on disk, written so that a cut at any instant is survived."""
