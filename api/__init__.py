"""The scoring service: scores, holds versions, swaps, rolls back, journals decisions."""

import shared  # noqa: F401 - first of all: it switches telemetry of dependencies off
