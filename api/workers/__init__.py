"""Several processes on one port, and the files through which they agree on what is served."""
