"""The bundle that live traffic is compared with: the champion's, or that of a named version."""

from dataclasses import dataclass

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.champion import BundleUnavailable, ServedBundles
from scheduler.cycle.packaging import BASELINE
from scheduler.drift.baseline import Baseline, NoBaseline, decode
from shared.bundle.archive import Bundle, unpack
from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.errors import BundleError, UnderstudyError


class NotChecked(UnderstudyError):
    """Raised when the champion has no usable baseline; the text says why, and no alarm follows."""


@dataclass(frozen=True, slots=True)
class ChampionBaseline:
    """The champion's description, and what it was trained on."""

    manifest: Manifest
    baseline: Baseline


def baseline_of_champion(bundles: ServedBundles) -> ChampionBaseline:
    """The baseline of the live version.

    Raises:
        ApiUnavailable: no process could report the live version or send its bundle.
        NotChecked: no model serves, or there is no bundle of it that can be trusted.
    """
    serving = bundles.api.current()
    if serving is None:
        raise NotChecked("the API serves no model yet")
    try:
        return _baseline(unpack(bundles.bundle(serving)))
    except (BundleUnavailable, BundleError) as error:
        raise NotChecked(f"the bundle of {serving.version} cannot be read: {error}") from error


def baseline_of_version(candidates: CandidateStore, version: str) -> ChampionBaseline:
    """The baseline of a version stored here, live or not.

    Raises:
        NotChecked: it is not kept here, or has nothing to compare with.
    """
    return _baseline(_bundle(candidates, version))


def _bundle(candidates: CandidateStore, version: str) -> Bundle:
    try:
        raw = candidates.bundle(Version.parse(version))
        if raw is None:
            raise NotChecked(f"the bundle of {version} is not kept here")
        return unpack(raw)
    except (ValueError, BundleError) as error:
        raise NotChecked(f"the bundle of {version} cannot be read: {error}") from error


def _baseline(bundle: Bundle) -> ChampionBaseline:
    version = bundle.manifest.version
    if BASELINE not in bundle.files:
        raise NotChecked(f"the bundle of {version} has no {BASELINE}")
    try:
        return ChampionBaseline(bundle.manifest, decode(bundle.files[BASELINE]))
    except NoBaseline as error:
        raise NotChecked(f"{version}: {error}; the next promotion brings one") from error
