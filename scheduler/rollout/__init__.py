"""Driving a rollout: sequential tests on the arms' figures, and the next step they allow."""
