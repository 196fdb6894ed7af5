"""Stores of whole objects that several hosts share: a bucket, or a folder that all mount."""
