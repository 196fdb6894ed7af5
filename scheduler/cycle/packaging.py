"""Packaging: a trained candidate becomes a versioned bundle that says where it comes from."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from scheduler.cycle.as_of import AsOf
from scheduler.cycle.champion import Champion
from scheduler.cycle.context import CycleContext
from scheduler.cycle.examples import Examples
from scheduler.drift.baseline import BASELINE, Baseline, encode
from scheduler.gates import finite
from shared.bundle.archive import Bundle, pack, unpack
from shared.bundle.manifest import Manifest, served_signature
from shared.bundle.version import Version
from shared.clock import isoformat, to_datetime
from shared.scoring.library_versions import PICKLE, library_versions
from shared.scoring.model import Model
from shared.scoring.session import load_model
from shared.tables.engine import database_errors
from shared.tables.schema import model_training_runs
from shared.usecase.learning import CHOSEN, Candidate

# The next version: patch = the same recipe on fresh data, minor = a new recipe; pure.


def is_new_recipe(candidate: Candidate, champion: Manifest | None) -> bool:
    """True if features, components or hyperparameters differ from the champion's."""
    if champion is None:
        return True
    return (
        tuple(candidate.feature_names),
        candidate.feature_set_version,
        tuple(candidate.components),
        _canonical(candidate.hyperparameters),
    ) != (
        champion.feature_names,
        champion.feature_set_version,
        champion.components,
        _canonical(champion.hyperparameters),
    )


def next_version(
    champion: Version | None,
    accepted: frozenset[Version],
    used: frozenset[Version],
    schema_version: int,
    *,
    new_recipe: bool,
) -> Version:
    """A version newer than all the API ever accepted, and never used for a candidate before."""
    newest = max(accepted | ({champion} if champion else set()), default=None)
    if newest is None or newest.major < schema_version:
        version = Version(schema_version, 0, 0)
    else:
        version = newest.next_minor() if new_recipe else newest.next_patch()
    while version in used:
        version = version.next_patch()
    return version


def _canonical(values: Mapping[str, Any]) -> str:
    """Text that is equal for values that are equal once they have been through JSON.

    Values that a training run selected are not part of its recipe, which states how to select.
    """
    declared = {name: value for name, value in values.items() if name != CHOSEN}
    return json.dumps(declared, sort_keys=True, default=str)


CARD = "card.md"


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate that loads and scores, before its metrics are known.

    Attributes:
        raw: the bundle, still without metrics, that `model` was loaded from.
    """

    version: Version
    new_recipe: bool
    manifest: Manifest
    files: Mapping[str, bytes]
    model: Model
    raw: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """The final bytes; nothing about the bundle changes any more."""

    raw: bytes
    bundle: Bundle


def draft(
    context: CycleContext,
    candidate: Candidate,
    examples: Examples,
    champion: Champion | None,
    as_of: AsOf,
    *,
    own: Version | None = None,
) -> Draft:
    """Name the candidate's version, write its manifest, and load it once.

    `own` is the version that an earlier attempt of this run announced. Reusing it makes a repeated
    push idempotent: the API accepts one bundle a version.

    Raises:
        ApiUnavailable: which versions are taken is not known.
        ModelLoadError: the graph does not load or is not what it declares.
    """
    new_recipe = is_new_recipe(candidate, champion.manifest if champion else None)
    version = next_version(
        champion.version if champion else None,
        context.api.known_versions(),
        (context.candidates.versions() | _recorded_versions(context.engine)) - {own},
        context.use_case.schema_version,
        new_recipe=new_recipe,
    )
    manifest = _manifest(context, candidate, examples, version, as_of)
    if champion is not None:
        manifest = manifest.model_copy(update={"parent_version": str(champion.version)})
    files = {
        CARD: _card(manifest).encode(),
        **candidate.files,
    }
    raw = pack(manifest, files)
    model = load_model(unpack(raw), allow_pickle=context.allow_pickle)
    return Draft(version, new_recipe, manifest, files, model, raw)


def seal(
    draft: Draft,
    metrics: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    baseline: Baseline,
) -> Sealed:
    """The bundle with its metrics in the manifest; the graph is the one that was scored."""
    figures = {name: value for name, value in finite(metrics).items() if value is not None}
    known = {name: bounds for name, bounds in intervals.items() if name in figures}
    update = {"metrics": figures, "metric_intervals": known}
    files = {**draft.files, BASELINE: encode(baseline)}
    raw = pack(draft.manifest.model_copy(update=update), files)
    return Sealed(raw, unpack(raw))


def _recorded_versions(engine: Engine) -> frozenset[Version]:
    """Versions of all earlier candidates, also of those whose files are long deleted."""
    query = select(model_training_runs.c.modelversion).distinct()
    with database_errors("read ModelTrainingRuns"), engine.connect() as connection:
        return frozenset(Version.parse(text) for text in connection.scalars(query) if text)


def _manifest(
    context: CycleContext, candidate: Candidate, examples: Examples, version: Version, as_of: AsOf
) -> Manifest:
    inputs, outputs = served_signature(len(candidate.feature_names), len(candidate.components))
    return Manifest(
        model_name=context.use_case.name,
        version=str(version),
        created_at=to_datetime(as_of.as_of_us),
        use_case=context.use_case.name,
        frameworks=_frameworks(candidate),
        python_version=platform.python_version(),
        flavour=candidate.flavour,
        components=tuple(candidate.components),
        feature_names=tuple(candidate.feature_names),
        feature_set_version=candidate.feature_set_version,
        inputs=inputs,
        outputs=outputs,
        thresholds=dict(candidate.thresholds),
        hyperparameters=dict(candidate.hyperparameters),
        metrics={},
        training_data=examples.training_data,
        description=_description(as_of),
    )


def _description(as_of: AsOf) -> str:
    origin = f"Trained from the snapshot of {isoformat(as_of.as_of_us)}"
    return f"{origin}, on {isoformat(as_of.began_us)}." if as_of.is_declared else f"{origin}."


def _frameworks(candidate: Candidate) -> dict[str, str]:
    """Versions of what the model was made with; of a pickle also those that it uses."""
    pickled = candidate.files.get(PICKLE) if candidate.flavour == "cloudpickle" else None
    found = {} if pickled is None else library_versions(pickled)
    return {**found, **candidate.frameworks}


def _card(manifest: Manifest) -> str:
    """A summary of the candidate for people, as Markdown."""
    data = manifest.training_data
    return "\n".join(
        [
            f"# {manifest.model_name} {manifest.version}",
            "",
            manifest.description,
            "",
            f"- components: {', '.join(manifest.components)}",
            f"- features: {len(manifest.feature_names)} of set {manifest.feature_set_version}",
            f"- learned from {data.rows} rows"
            + (f", {data.positives} of them positive" if data.positives else ""),
            f"- window: {data.window_start.isoformat()} to {data.window_end.isoformat()}",
            f"- sha256 of the training rows: {data.sha256}",
            "",
        ]
    )
