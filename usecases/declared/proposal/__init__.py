"""Implements `understudy new`: profiles a file, guesses kinds, writes a usecase.toml."""
