"""The gates a candidate has to pass; each answers with a typed verdict."""
