"""The demo: the whole life of a model in ten minutes, by real services on a world of its own."""
