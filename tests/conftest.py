"""For every test: our package comes first, since it switches telemetry of dependencies off."""

import shared  # noqa: F401
