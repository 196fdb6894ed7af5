"""Turns pushed bytes into a loaded model; the signature is verified before anything is parsed.

A model that this service has never run is loaded and scored in a child process first, whose own
side is api/smoke.py. Its scores are counted in fixed bins, or in those of its own predictions.
"""

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import orjson
import structlog

from api.models.model_slot import LiveModel, Pace, make_live
from api.registry.stored_version import Meta
from api.smoke import ALLOW_PICKLE
from shared.bundle.archive import Bundle, unpack
from shared.clock import Clock
from shared.errors import ModelLoadError
from shared.keys.store import KeyStore, verify
from shared.scoring.model import check_fits
from shared.scoring.session import check_allowed, load_model
from shared.system.child_processes import (
    bare_environment,
    how_it_ended,
    kill_child,
    module_command,
    start_child,
)
from shared.tasks.observed import PROBABILITY_EDGES, range_edges
from shared.usecase.serving import ServingUseCase

BASELINE = "baseline.json"
_NO_PROBABILITY = ("prediction", "probability ", "score ")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Authentic:
    """An unpacked bundle and the key that signed it."""

    bundle: Bundle
    key_id: str

    def meta(self, accepted_at_us: int, size_bytes: int) -> Meta:
        """The description beside the bundle in the registry."""
        manifest = self.bundle.manifest
        return Meta(
            version=manifest.version,
            sha256=self.bundle.sha256,
            key_id=self.key_id,
            accepted_at_us=accepted_at_us,
            size_bytes=size_bytes,
            manifest=manifest.model_dump(mode="json", exclude={"files"}),
        )


class SmokeTest(Protocol):
    def run(self, raw: bytes) -> float | None:
        """Load and score a bundle outside the service; returns the seconds a row took, if known.

        Raises:
            ModelLoadError: it does not work, or not within its limits.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verifier:
    """The checks of a bundle, in order: signature, digests, format, a first score."""

    use_case: ServingUseCase
    keys: KeyStore
    smoke: SmokeTest
    clock: Clock
    max_bytes: int
    allow_pickle: bool = False

    def authenticate(self, raw: bytes, signature: str) -> Authentic:
        """Signature, then digests, then manifest.

        Raises:
            BundleError: says which of them failed.
        """
        key_id = verify(raw, signature, self.keys.trusted_keys())
        return Authentic(unpack(raw, self.max_bytes), key_id)

    def authenticate_stored(self, raw: bytes, signature: str) -> Authentic:
        """The same for what was accepted before; its key may have been retired since.

        Raises:
            BundleError: says what does not hold any more.
        """
        key_id = verify(raw, signature, self.keys.accepted_keys())
        return Authentic(unpack(raw, self.max_bytes), key_id)

    def load_new(self, authentic: Authentic, raw: bytes) -> LiveModel:
        """A model this service has never run: tried in a child process first.

        Raises:
            ModelLoadError: it does not fit, load or score.
        """
        check_fits(authentic.bundle.manifest, self.use_case)
        check_allowed(authentic.bundle.manifest, allow_pickle=self.allow_pickle)
        row_seconds = self.smoke.run(raw)
        return replace(self.load(authentic), pace=Pace(row_seconds))

    def load(self, authentic: Authentic) -> LiveModel:
        """A model that passed the smoke test when it was accepted.

        Raises:
            ModelLoadError: it does not fit or load.
        """
        model = load_model(authentic.bundle, allow_pickle=self.allow_pickle)
        live = make_live(model, self.use_case, self.clock.now_us())
        return replace(live, score_edges=score_edges_of(live.served.components, authentic.bundle))


@dataclass(frozen=True, slots=True)
class ChildSmokeTest:
    """Runs `python -m api.smoke` on a private copy of the bundle."""

    timeout_seconds: float
    memory_bytes: int
    allow_pickle: bool = False

    def run(self, raw: bytes) -> float | None:
        with tempfile.TemporaryDirectory(prefix="understudy-smoke-") as folder:
            path = Path(folder) / "bundle.zip"
            path.write_bytes(raw)
            numbers = (self.memory_bytes, math.ceil(self.timeout_seconds), os.getpid())
            flags = [ALLOW_PICKLE] if self.allow_pickle else []
            arguments = (str(path), *map(str, numbers), *flags)
            return self._run(module_command("api.smoke", *arguments), folder)

    def _run(self, command: list[str], folder: str) -> float | None:
        child = start_child(
            command,
            folder=folder,
            environment=bare_environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            output, _ = child.communicate(timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise ModelLoadError(
                f"the model did not load and score within {self.timeout_seconds:g} s"
            ) from error
        finally:
            if child.poll() is None:
                kill_child(child)
                child.communicate()
        return _judge(child.returncode, output)


def _judge(returncode: int, output: bytes) -> float | None:
    if returncode < 0:
        raise ModelLoadError(f"the model's test process {how_it_ended(returncode)}")
    try:
        answer = json.loads(output)
        problem, row_seconds = answer["problem"], answer.get("row_seconds")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(
            f"the model's test process {how_it_ended(returncode)} and no verdict"
        ) from error
    if problem is not None:
        raise ModelLoadError(str(problem))
    return None if row_seconds is None else float(row_seconds)


def are_probabilities(components: Sequence[str]) -> bool:
    """True if scores of such a version lie between 0 and 1 by definition."""
    return not components or not components[0].startswith(_NO_PROBABILITY)


def score_edges_of(
    components: Sequence[str], bundle: Bundle, fixed: tuple[float, ...] = PROBABILITY_EDGES
) -> tuple[float, ...]:
    """`fixed` for a probability; else those of the version's predictions on held-out rows."""
    if are_probabilities(components):
        return fixed
    try:
        baseline = orjson.loads(bundle.files[BASELINE])
        return range_edges(baseline["columns"]["score"]["edges"])
    except (KeyError, TypeError, ValueError) as error:
        version = bundle.manifest.version
        _log.warning("version_has_no_score_bins", version=version, reason=repr(error)[:300])
        return range_edges(())
