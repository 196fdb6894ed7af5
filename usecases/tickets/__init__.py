"""Which team solves a support ticket: several classes, declared, without code."""
