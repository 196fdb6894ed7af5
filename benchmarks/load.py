"""Load from wrk on a separate core, and what the server's process spent on it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 16
_TICKS = os.sysconf("SC_CLK_TCK")
_SCRIPT = """
local ffi = require("ffi")
ffi.cdef "typedef struct { long seconds, nanos; } moment; int clock_gettime(int, moment *);"
local function now_us()
  local at = ffi.new("moment")
  ffi.C.clock_gettime(1, at)
  return tonumber(at.seconds) * 1e6 + tonumber(at.nanos) / 1e3
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies, prefix, n, only = {}, "PREFIX", 0, nil
for line in io.lines("BODIES") do bodies[#bodies + 1] = line end
setup = function(thread) only = thread end
request = function()
  n = n + 1
  began_us = began_us or now_us()
  if n > LIMIT then
    -- wrk itself waits for the end of the time it was given
    took_us = took_us or now_us() - began_us
    wrk.thread:stop()
  end
  local body = bodies[(n - 1) % #bodies + 1]
  return wrk.format(nil, nil, nil, (body:gsub("@ID", prefix .. n)))
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests,
    only:get("took_us") or summary.duration,
    latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of load.

    Attributes:
        per_cpu_second: requests by seconds of processor time of the server and its children,
            which other programs on the same core disturb less than requests by the clock.
    """

    requests: int
    per_second: float
    per_cpu_second: float
    p99_ms: float
    failed: int


def require_wrk() -> None:
    """Leave with a remedy when the tool, or a second core, is missing."""
    if shutil.which("wrk") is None:
        sys.exit("bench-serving needs wrk: apt-get install wrk")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench-serving needs two cores: one for the server, one for the load")


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started meanwhile stay on this core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def press(
    url: str,
    pid: int,
    bodies: Path,
    run: str,
    seconds: float,
    connections: int = CONNECTIONS,
    *,
    once: bool = False,
) -> Measured:
    """Post the bodies in turn, one a line; @ID becomes an id that begins with `run`.

    Args:
        once: end sooner where every body has been sent.
    """
    limit = "#bodies" if once else "math.huge"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        filled = _SCRIPT.replace("PREFIX", run).replace("LIMIT", limit)
        script.write(filled.replace("BODIES", str(bodies)))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", script.name, url]
        before = family_cpu_seconds(pid)
        with on_core(LOAD_CORE):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
    spent = family_cpu_seconds(pid) - before
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    requests, duration_us, p99_us, failed = map(int, line.split()[1:])
    return Measured(
        requests, requests / duration_us * 1e6, requests / spent, p99_us / 1_000, failed
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def family_cpu_seconds(pid: int) -> float:
    """The same of a process and its children: its own drain is part of the cost."""
    return sum(map(cpu_seconds, (pid, *children(pid))))


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in path.read_text().split()]
    return found


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
