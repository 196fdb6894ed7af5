"""Telemetry of our dependencies, switched off before any of them is imported.

onnxruntime writes a device id and an event queue below the home folder when it is imported,
and sends it; the MLflow client does likewise. Both read the environment, and only while they
are imported, so this is called by `shared/__init__.py`, which every package of ours imports
first. Child processes inherit the environment or import the same package.
"""

import os
import sys
from collections.abc import MutableMapping
from types import MappingProxyType

SWITCHES = MappingProxyType(
    {
        "ORT_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        # honoured by many other libraries, which pickled models may import
        "DO_NOT_TRACK": "1",
    }
)


def switch_off(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set every switch, whatever was set before."""
    environment.update(SWITCHES)
    runtime = sys.modules.get("onnxruntime")
    if runtime is not None:
        # imported before this module: stop its events from here on
        runtime.disable_telemetry_events()
