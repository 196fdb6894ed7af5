"""The command line: starts the services, fills and feeds the database, shows tokens."""

import shared  # noqa: F401 - first of all: it switches telemetry of dependencies off
