"""The bundle: one signed, data-only file that carries a model from training to serving."""
