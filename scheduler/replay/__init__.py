"""Replay: the real cycle over stored history with a simulated clock; see ADR 0012."""
