"""Model versions: verified, loaded, swapped and rolled back."""
