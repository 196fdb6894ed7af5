"""The plan of a run of `understudy score`, written beside its output before it begins.

A run that is started again goes on by what is written: the same files, version and instant, so
that all parts are of one version however often one was promoted meanwhile.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import httpx

from shared.bundle.archive import Bundle, unpack
from shared.contracts.http import BUNDLE_SIGNATURE
from shared.contracts.models import CurrentModel
from shared.errors import UnderstudyError
from shared.importing.sources import files_of
from shared.keys.store import KeyStore, verify
from shared.keys.tokens import Role, read_token
from shared.rows.declaration import FILE_NAME
from shared.scoring.model import Served, check_fits
from shared.system.files import make_folder, write_whole
from understudy.api_client import ApiNotThere, read_api
from understudy.settings import CommandSettings
from usecases.declared.serving import serving_of

PLAN, BUNDLE, SIGNATURE = "plan.json", "bundle.zip", "bundle.sig"
_DOWNLOAD_SECONDS = 60.0


class CannotScore(UnderstudyError):
    """Raised when a file cannot be scored; says why and what to do."""


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """The data that all parts of an output share.

    Attributes:
        files: path, bytes and time of change of each input.
        declaration: SHA-256 of usecase.toml, or of the mapping.
        now_us: the instant of rows that have none.
    """

    files: list[list[str | int]]
    declaration: str
    version: str
    sha256: str
    now_us: int


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """The folder of a run, its plan and its bundle, whose signature holds."""

    folder: Path
    plan: ScorePlan
    bundle: Bundle


class ScoreSubject(NamedTuple):
    """The files and rows to score.

    Attributes:
        digest: SHA-256 of what says how files are read.
        served: what a bundle has to fit.
    """

    digest: str
    served: Served


def declared_subject(use_case: Path) -> ScoreSubject:
    """The declared use case in a folder.

    Raises:
        DeclarationError: its usecase.toml is wrong.
    """
    digest = hashlib.sha256((use_case / FILE_NAME).read_bytes()).hexdigest()
    return ScoreSubject(digest, serving_of(use_case))


def prepared(
    settings: CommandSettings,
    subject: ScoreSubject,
    files: Sequence[Path],
    folder: Path,
    now_us: int,
    *,
    version: str | None,
    restart: bool,
) -> ScoringJob:
    """The run that is written down in `folder`, or a new one.

    Raises:
        CannotScore: what is written down is another run.
        UnderstudyError: the API has no version, or its bundle does not hold or fit.
    """
    if restart:
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / PLAN).exists():
        return _new(settings, subject, files, folder, now_us, version)
    plan = ScorePlan(**json.loads((folder / PLAN).read_bytes()))
    raw, signature = (folder / BUNDLE).read_bytes(), (folder / SIGNATURE).read_text()
    bundle = _verified(settings, raw, signature)
    found = _files(files), subject.digest, bundle.sha256, version or plan.version
    if found != (plan.files, plan.declaration, plan.sha256, plan.version):
        raise CannotScore(
            f"{folder} holds parts of another run (other files, usecase.toml, mapping or version): "
            "add --restart to throw them away"
        )
    return ScoringJob(folder, plan, bundle)


def _new(  # noqa: PLR0917 - as `prepared` takes them
    settings: CommandSettings,
    subject: ScoreSubject,
    files: Sequence[Path],
    folder: Path,
    now_us: int,
    version: str | None,
) -> ScoringJob:
    version = version or read_api(settings, "/current_model", CurrentModel).version
    raw, signature = _download(settings, version)
    bundle = _verified(settings, raw, signature)
    if bundle.manifest.version != version:
        raise CannotScore(f"the API answers {bundle.manifest.version} for version {version}")
    check_fits(bundle.manifest, subject.served)
    plan = ScorePlan(_files(files), subject.digest, version, bundle.sha256, now_us)
    make_folder(folder)
    write_whole(folder / BUNDLE, raw)
    write_whole(folder / SIGNATURE, signature.encode())
    # written last: a folder with a plan is complete
    write_whole(folder / PLAN, json.dumps(asdict(plan)).encode())
    return ScoringJob(folder, plan, bundle)


def _download(settings: CommandSettings, version: str) -> tuple[bytes, str]:
    url = f"{settings.api_url.rstrip('/')}/models/{version}/bundle"
    headers = {"Authorization": f"Bearer {read_token(settings.keys_dir, Role.PUSH)}"}
    try:
        answer = httpx.get(url, headers=headers, timeout=_DOWNLOAD_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ApiNotThere(f"the API at {settings.api_url} does not answer ({error})") from error
    if answer.status_code != httpx.codes.OK:
        raise ApiNotThere(f"{url} answers {answer.status_code}: {answer.text[:200]}")
    return answer.content, answer.headers.get(BUNDLE_SIGNATURE, "")


def _verified(settings: CommandSettings, raw: bytes, signature: str) -> Bundle:
    """Raises BundleError when no key of ours signed these bytes."""
    verify(raw, signature, KeyStore(settings.keys_dir).accepted_keys())
    return unpack(raw)


def _files(paths: Sequence[Path]) -> list[list[str | int]]:
    try:
        found = [(path.resolve(), path.stat()) for path in files_of(list(paths))]
    except OSError as error:
        raise CannotScore(f"cannot read {error.filename}: {error.strerror}") from error
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in found]
