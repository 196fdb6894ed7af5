"""What is served: verified, loaded, swapped and stepped back from."""
