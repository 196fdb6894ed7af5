"""The film categories that a viewer rates highest next: a ranking with a model of its own."""
