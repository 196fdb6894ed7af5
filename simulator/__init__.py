"""A synthetic world of customers and merchants, with crimes, delayed labels and drift.

It fills an empty database and sends live traffic; nothing else depends on it.
"""

import shared  # noqa: F401 - first of all: it switches telemetry of dependencies off
