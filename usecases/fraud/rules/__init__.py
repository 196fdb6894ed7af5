"""Rules: typed CEL expressions over fields, features and scores, read from a versioned file."""
