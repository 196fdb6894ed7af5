"""The page that says why a candidate was, or was not, promoted: pure, figures included."""
