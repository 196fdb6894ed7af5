"""What the services and commands say to each other as JSON: one model for writer and reader."""
