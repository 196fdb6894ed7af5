"""The retraining service: decides when to learn, trains, examines, signs and pushes."""

import shared  # noqa: F401 - first of all: it switches telemetry of dependencies off
