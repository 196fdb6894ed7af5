"""Figures that the project promises; each program prints one JSON line."""
