"""What the scoring service and the retraining service must agree on."""

from shared.telemetry import switch_off

switch_off()
