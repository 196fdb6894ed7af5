"""Teams that solve support tickets: a declared use case of several classes, without code."""
