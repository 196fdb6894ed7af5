"""Notifications: what people hear of, by webhook; nothing here can delay or fail a run."""
