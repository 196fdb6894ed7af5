"""What the scoring service and the retraining service must agree on."""
