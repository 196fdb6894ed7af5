"""One module per schema version; never change one that has been released."""
