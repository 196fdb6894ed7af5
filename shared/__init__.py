"""Definitions shared by the scoring service and the retraining service."""

from shared.telemetry import switch_off

switch_off()
