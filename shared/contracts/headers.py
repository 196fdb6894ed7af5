"""Names of headers that one program sends and another reads."""

BUNDLE_SIGNATURE = "X-Bundle-Signature"
FENCING_NUMBER = "X-Fencing-Number"
ROLLOUT = "X-Rollout"
MODEL_VERSION = "X-Model-Version"
PERSON = "X-Person"
"""The person in whose name a program asks for a change, percent-encoded; for the audit trail."""
