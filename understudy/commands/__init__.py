"""One module a group of commands; each has `register(app)` and imports its work when it runs."""
