"""Training on Ray: a head and two workers with a token and TLS, against the same in turn.

    python -m benchmarks.ray --rows 20000 --candidates 8 --kills 2

The digest of the graph has to be the same, also when workers are killed while they fit; the
death of the driver has to end all tasks within ten seconds. Nodes are processes of this machine:
the ratio says how well its cores are used, not what more machines give.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ray_nodes import ROOT, RayNodes, running_ray
from learning.trainers.request import InputColumn, Recipe, TrainingRequest
from learning.trainers.train import train
from shared.execution.executor import TaskLimits, executing, ignore
from shared.execution.ray_cluster import RayExecutor
from shared.tasks import Task, TaskKind

_COLUMNS = 20
_DRIVER = "import sys; from benchmarks.ray import drive; drive(sys.argv[1])"


def request(rows: int, candidates: int) -> TrainingRequest:
    """Rows with something to learn, and recipes that differ by their number of leaves."""
    random = np.random.default_rng(7)
    matrix = random.normal(size=(rows, _COLUMNS)).astype(np.float32)
    labels = (matrix[:, 0] + matrix[:, 1] * matrix[:, 2] + random.normal(size=rows) > 1).astype(
        float
    )
    return TrainingRequest(
        task=Task(TaskKind.BINARY, ("no", "yes")),
        matrix=matrix,
        labels=labels,
        columns=tuple(InputColumn(f"x{at}") for at in range(_COLUMNS)),
        feature_set_version="1",
        recipes=tuple(Recipe(settings={"max_leaf_nodes": 15 + at}) for at in range(candidates)),
        seed=7,
    )


def timed(asked: TrainingRequest) -> tuple[str, float, float]:
    """Digest of the graph, seconds of the choice among candidates, seconds in all."""
    began, chosen = time.perf_counter(), [0.0]

    def progress(what: str, _share: float) -> None:
        if what == "fit":
            chosen[0] = time.perf_counter() - began

    candidate = train(asked, progress)
    digest = hashlib.sha256(b"".join(candidate.files[name] for name in sorted(candidate.files)))
    return digest.hexdigest(), chosen[0], time.perf_counter() - began


def with_kills(nodes: RayNodes, asked: TrainingRequest, kills: int) -> tuple[str, int]:
    """The digest while processes of tasks are killed, and how many were."""
    done, killed = threading.Event(), [0]

    def kill() -> None:
        while killed[0] < kills and not done.wait(1.0):
            for pid in nodes.task_processes()[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed[0] += 1

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    digest, *_ = timed(asked)
    done.set()
    killer.join()
    return digest, killed[0]


def writes_its_pid(folder: str, item: int) -> None:
    """A task of ten minutes."""
    (Path(folder) / str(item)).write_text(str(os.getpid()))
    time.sleep(600)


def drive(folder: str) -> None:
    """A driver that is going to be killed."""
    cluster = RayExecutor(os.environ["RAY_ADDRESS"], TaskLimits())
    cluster.map(writes_its_pid, folder, [0, 1], names=["0", "1"], watch=ignore)


def seconds_until_tasks_end(nodes: RayNodes, folder: Path) -> float:
    """Seconds from the death of the driver to the end of its tasks."""
    environment = {**os.environ, **nodes.environment, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([sys.executable, "-c", _DRIVER, folder], env=environment)
    while len([*folder.iterdir()]) < 2:
        time.sleep(0.1)
    time.sleep(0.5)
    pids = [int(path.read_text()) for path in folder.iterdir()]
    driver.kill()
    driver.wait()
    began = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() - began < 120:
        time.sleep(0.1)
    return time.monotonic() - began


def measure(rows: int, candidates: int, kills: int, folder: Path) -> Mapping[str, Any]:
    asked = request(rows, candidates)
    digest, in_turn, _ = timed(asked)
    with running_ray(folder, head_cpus=0) as nodes:
        nodes.start_worker()
        nodes.start_worker()
        os.environ.update(nodes.environment)
        cluster = RayExecutor(nodes.environment["RAY_ADDRESS"], TaskLimits())
        with executing(cluster):
            # warm-up: the first tasks import the training libraries
            timed(request(1_000, 2))
            on_ray, choice, _ = timed(asked)
            after_kills, killed = with_kills(nodes, asked, kills)
        cluster.close()
        tasks = folder / "tasks"
        tasks.mkdir()
        ended = seconds_until_tasks_end(nodes, tasks)
    return {
        "rows": rows,
        "candidates": candidates,
        "same_digest": on_ray == digest,
        "in_turn_seconds": round(in_turn, 2),
        "ray_seconds": round(choice, 2),
        "times_faster": round(in_turn / choice, 2),
        "killed": killed,
        "same_digest_after_kills": after_kills == digest,
        "tasks_ended_after_seconds": round(ended, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--kills", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.rows, options.candidates, options.kills, Path(folder))
    print(json.dumps(found))
    ended = found["tasks_ended_after_seconds"] <= 10
    return 0 if found["same_digest"] and found["same_digest_after_kills"] and ended else 1


if __name__ == "__main__":
    sys.exit(main())
