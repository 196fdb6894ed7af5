"""The retraining service: decides when to learn, trains, examines, signs and pushes."""
