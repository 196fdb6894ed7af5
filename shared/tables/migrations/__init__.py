"""Schema versions, run by shared.tables.engine.migrate."""
