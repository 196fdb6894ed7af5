"""Trains fraud models from the transaction logs, exports and describes them."""
