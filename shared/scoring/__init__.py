"""Running a bundle's graph, the same way wherever it is run."""
