"""What every use case learns with: measures, trainers, exporters, parity; never in the API."""
