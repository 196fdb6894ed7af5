"""Names of headers that one program sends and another reads."""

BUNDLE_SIGNATURE = "X-Bundle-Signature"
FENCING_NUMBER = "X-Fencing-Number"
ROLLOUT = "X-Rollout"
MODEL_VERSION = "X-Model-Version"
