"""Which film categories a viewer rates highest next: a ranking with a model of its own."""
