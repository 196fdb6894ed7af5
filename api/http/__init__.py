"""HTTP code shared by all routes: problems, credentials, headers, bodies."""
