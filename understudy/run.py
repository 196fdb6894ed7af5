"""`understudy run`: both services as processes of their own, on one machine."""

import sys

from rich.console import Console

from understudy.processes import ServiceProcess, run_together
from understudy.settings import CommandSettings


def run_services(
    settings: CommandSettings,
    console: Console,
    workers: int | None = None,
    as_of: str | None = None,
) -> int:
    """Run API and scheduler until Ctrl-C; the exit status to end with.

    `as_of`: the instant whose knowledge training uses, in place of TRAIN_AS_OF.
    """
    url = f"http://{settings.api_host}:{settings.api_port}"
    logs = settings.logs_dir
    places = {"API": url, "docs": f"{url}/docs", "logs": f"{logs}/", "stop": "Ctrl-C"}
    for name, place in places.items():
        console.print(f"{name:>6}  {place}", highlight=False, soft_wrap=True)
    services = [
        ServiceProcess(
            "api",
            [*_module("api.main"), *(["--workers", str(workers)] if workers else [])],
            {"LOG_FILE": str(logs / "api.log")},
        ),
        ServiceProcess(
            "scheduler",
            _module("scheduler.main"),
            {
                "LOG_FILE": str(logs / "scheduler.log"),
                "API_URL": url,
                **({"TRAIN_AS_OF": as_of} if as_of else {}),
            },
        ),
    ]
    return run_together(services, lambda line: console.print(line, style="red"))


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]
