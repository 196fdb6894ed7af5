"""How fraud models are learned from the transaction logs, exported and described."""
