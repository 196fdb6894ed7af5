"""The use case that a declaration makes: both halves of the seam for any usecase.toml."""
