"""The lane of scoring: on the event loop while rows are quick, else on one thread.

History in memory is not safe for two threads at once, so whatever reads or changes it runs here,
one piece after the other. A piece on the thread leaves the loop to operators, health and metrics;
other pieces wait for it without blocking anything.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue

from api.models.model_slot import ModelSlot

MIB = 1024 * 1024
ROOM_BYTES = 8 * MIB
# A batch grows while it is scored: the error of an invalid row is up to ten times the row.
ROOM_BATCHES = 8

Piece = Callable[[], None]
Dispatch = Callable[[Piece], None]
"""Runs a piece where scoring runs, soon; sources need not be safe for other threads then."""

LOOP_SECONDS = 0.01
"""The time limit of a piece on the event loop: everything else waits for it."""

THREAD_SECONDS = 0.1
"""The time limit of a piece on the thread: other pieces wait for it."""

# For a version without a measurement: loaded after a restart, without the smoke test.
_UNKNOWN_ROWS = 4
_STOP_SECONDS = 2.0


class BatchRoom:
    """Room for some batches and bytes in all, on one event loop; first come, first served.

    One that is larger than the room has it to itself. Those that wait are bodies only, which
    the protocol bounds in sum.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES, room_batches: int = ROOM_BATCHES) -> None:
        self._room_bytes = room_bytes
        self._room_batches = room_batches
        self._used_bytes = 0
        self._used_batches = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, body_bytes: int) -> AsyncIterator[None]:
        """Room for one body, as soon as it is its turn."""
        if self._waiting or not self._fits(body_bytes):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((body_bytes, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._release(body_bytes)
                raise
        else:
            self._take(body_bytes)
        try:
            yield
        finally:
            self._release(body_bytes)

    def _fits(self, body_bytes: int) -> bool:
        if self._used_batches == 0:
            return True
        is_full = self._used_batches >= self._room_batches
        return not is_full and self._used_bytes + body_bytes <= self._room_bytes

    def _take(self, body_bytes: int) -> None:
        self._used_bytes += body_bytes
        self._used_batches += 1

    def _release(self, body_bytes: int) -> None:
        self._used_bytes -= body_bytes
        self._used_batches -= 1
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._take(size)
                turn.set_result(None)


class ScoringLane:
    """Runs pieces of scoring one after the other; its own methods run on the event loop.

    `is_far`: history is in a database across a network.

    Attributes:
        batches: how many of them may be split at once.
    """

    def __init__(self, models: ModelSlot, *, is_far: bool = False) -> None:
        self._models = models
        self._is_far = is_far
        self._thread = _Thread()
        self._row_seconds = 0.0
        self._waiting: deque[Piece] = deque()
        self._slices: deque[_Slice] = deque()
        self._has_turn = False
        self.is_busy = False
        self.batches = BatchRoom()

    @property
    def is_slow(self) -> bool:
        """True if scoring would block the event loop: by history, the live version or a trial."""
        if self._is_far:
            return True
        live, trial = self._models.live, self._models.trial
        if live is None:
            return False
        return live.pace.is_slow or (trial is not None and trial.pace.is_slow)

    @property
    def is_free(self) -> bool:
        """True if a slice may run now, on the event loop."""
        return not self.is_busy and not self.is_slow

    @property
    def seconds_at_work(self) -> float:
        """The seconds the thread has worked on its current piece."""
        return self._thread.seconds_at_work if self.is_busy else 0.0

    def rows_at_once(self, most: int) -> int:
        """The number of rows to score together, so that none waits long for its neighbours."""
        live = self._models.live
        if live is None:
            return most
        own = live.pace.row_seconds
        if own is None:
            return min(most, _UNKNOWN_ROWS)
        each = max(own, self._row_seconds)
        seconds = THREAD_SECONDS if self.is_slow else LOOP_SECONDS
        return most if each * most <= seconds else max(1, int(seconds / each))

    def took(self, rows: int, seconds: float) -> None:
        """Records how many rows took how long, all included."""
        each, known = seconds / rows, self._row_seconds
        self._row_seconds = each if each < known else (each + known) / 2

    def post(self, piece: Piece) -> None:
        """Run a quick piece on the loop: now, or as soon as the thread is done."""
        if self.is_busy:
            self._waiting.append(piece)
        else:
            piece()

    def post_history(self, piece: Piece) -> None:
        """Run a piece that changes history where scoring reads it."""
        if not self._is_far:
            self.post(piece)
        elif self.is_busy:
            self._waiting.append(lambda: self.post_history(piece))
        else:
            self.offload(piece, _nothing)

    def offload(self, piece: Piece, done: Piece) -> None:
        """Run a piece on the thread, then `done` on the loop; only while it is not busy."""
        loop = asyncio.get_running_loop()
        self.is_busy = True

        def work() -> None:
            try:
                piece()
            finally:
                # RuntimeError: the event loop has been closed
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._finished, done)

        self._thread.put(work)

    async def run(self, work: Callable[[], None]) -> None:
        """Run a piece, and raise what it raises; of those that wait one runs at each turn."""
        part = _Slice(work, asyncio.get_running_loop().create_future())
        self._slices.append(part)
        self._ask_for_turn()
        await part.done

    def close(self) -> None:
        """Wait a little for the piece at work; whatever waits is not run."""
        self._thread.close(_STOP_SECONDS)

    def _ask_for_turn(self) -> None:
        if not self._has_turn and self._slices:
            self._has_turn = True
            asyncio.get_running_loop().call_soon(self.post, self._turn)

    def _turn(self) -> None:
        self._has_turn = False
        part = self._slices.popleft()
        if self.is_slow:
            self.offload(part.run, part.tell)
        else:
            part.run()
            part.tell()
        self._ask_for_turn()

    def _finished(self, done: Piece) -> None:
        self.is_busy = False
        done()
        while self._waiting and not self.is_busy:
            self._waiting.popleft()()


def _nothing() -> None:
    """A wake-up without effect: no caller waits."""


@dataclass(slots=True)
class _Slice:
    work: Piece
    done: "asyncio.Future[None]"
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            self.error = error

    def tell(self) -> None:
        if self.done.done():
            return  # the request was cancelled
        if self.error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self.error)


class _Thread:
    """A daemon thread, started with the first piece."""

    def __init__(self) -> None:
        self._pieces: SimpleQueue[Piece | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._began = 0.0

    @property
    def seconds_at_work(self) -> float:
        return time.monotonic() - self._began

    def put(self, piece: Piece) -> None:
        self._began = time.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
            self._thread.start()
        self._pieces.put(piece)

    def close(self, seconds: float) -> None:
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join(seconds)

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            piece()


class LoopDispatcher:
    """Calls directly until an event loop runs, then through it."""

    def __init__(self) -> None:
        self._through: Dispatch | None = None

    def use(self, through: Dispatch | None) -> None:
        """Sets the executor of slow work from now on; None: the event loop."""
        self._through = through

    def __call__(self, piece: Piece) -> None:
        if self._through is None:
            piece()
        else:
            self._through(piece)
