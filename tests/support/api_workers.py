"""Which worker answered, and users that belong to one."""

import zlib

from api.settings import Settings
from api.wiring import build_service
from api.workers.worker_context import WorkerContext
from shared.clock import SystemClock
from tests.api.server import Running
from tests.api.tiny import TinyUseCase
from tests.support.api_registries import NoSmoke


def worker(settings: Settings, number: int, total: int = 2) -> Running:
    own = settings.model_copy(update={"api_workers": total})
    place = WorkerContext(number, starts=1)
    service = build_service(own, TinyUseCase(), SystemClock(), smoke=NoSmoke(), context=place)
    return Running(own, service=service)


def user_of(owner: int, workers: int = 2) -> str:
    """A user whose rows this worker owns."""
    return next(f"u{n}" for n in range(100) if zlib.crc32(f"u{n}".encode()) % workers == owner)
