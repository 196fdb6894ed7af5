"""The page that says whether the data has drifted, and what to do: pure, figures included."""
