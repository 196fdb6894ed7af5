"""Scoring: turns body bytes into an answer that is journalled before it is sent."""
