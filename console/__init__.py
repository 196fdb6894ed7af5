"""What people look at and act through, in a browser. Reads; asks the API; nothing depends on it."""
