"""Training library of all use cases: measures, trainers, exporters, parity; never in the API."""
