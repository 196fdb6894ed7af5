"""What the data-quality checks of every use case share: findings, and verdicts made of them."""
