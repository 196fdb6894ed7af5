"""Workers as peers: a row is scored by the worker that owns its entity, whichever accepted it."""
