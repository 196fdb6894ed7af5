"""What all routes share: problems, credentials, headers, bodies."""
