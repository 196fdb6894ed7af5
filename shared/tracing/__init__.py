"""Traces: spans are plain data here; one child process turns them into OpenTelemetry's."""
