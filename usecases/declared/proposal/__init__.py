"""What `understudy new` does: looks a file over, guesses kinds, writes a usecase.toml."""
