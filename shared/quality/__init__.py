"""Shared by the data-quality checks of every use case: findings, and verdicts made of them."""
