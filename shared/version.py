"""The version of this product; pyproject.toml and CHANGELOG.md name the same."""

VERSION = "0.1.0"
