"""Snapshots larger than memory: files that are scanned, shuffled and mapped."""
