"""JSON contracts between services and commands: one model for writer and reader."""
