"""A process is killed at every step of a change of the registry, and the next one starts on it."""

import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from api.models.model_loader import ModelLoader
from api.models.promoter import Promoter
from api.models.refusals import NoFallback, VersionNotNewer
from api.models.serving_state import Push
from api.registry.registry import Registry
from api.settings import Settings
from tests.api.bundles import Signer, bias_of, install
from tests.api.cut import Cut
from tests.api.server import Running, serve_settings
from tests.support.api_pushes import audit
from tests.support.api_registries import promoter_of

pytestmark = pytest.mark.slow

Change = Callable[[Promoter], object]
BEFORE = 12


def pushes(signer: Signer, version: str) -> Change:
    raw = signer.bundle(version)
    push = Push(raw, signer.sign(raw), None, "test")
    return lambda promoter: promoter.push(push)


def steps_back(promoter: Promoter) -> object:
    return promoter.rollback(None, "a test", "operator")


def killed(settings: Settings, change: Change, prepare: Callable[[], None]) -> int:
    """Make a change in a child that is killed on its way; the signal, 0: it came through."""
    child = os.fork()
    if child == 0:
        promoter = promoter_of(settings)
        prepare()
        change(promoter)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def restarted(settings: Settings) -> str:
    """Start a server on what is there; the version whose scores it answers with."""
    with Running(settings) as server:
        answer = server.score(amount=2.0)
        assert answer.status_code == 200, answer.text
        version = str(answer.json()["version"])
        assert answer.json()["probability"] == 1.0 + bias_of(version)
        registry = server.service.models.registry
        assert version == registry.current()
        assert version in registry.ledger.accepted
        # Nothing on disk is torn, and nothing lies about.
        loader = ModelLoader(registry, server.service.models.promoter._verifier)
        for stored in registry.stored():
            assert loader.load(stored).version == stored
        assert not list(settings.prod_models_dir.rglob(".tmp-*"))
    return version


def left_behind(settings: Settings) -> list[str]:
    """Versions that a rollback does not return to."""
    registry = Registry(settings.prod_models_dir)
    registry.open()
    accepted = registry.ledger.accepted.values()
    return [one.version for one in accepted if one.rolled_back_at_us is not None]


def copied(template: Path, folder: Path) -> Settings:
    shutil.copytree(template, folder)
    return serve_settings(folder)


@pytest.fixture
def crowded(settings: Settings, signer: Signer) -> Path:
    """A registry that is full: one more version, and the oldest go."""
    install(settings, signer, *(f"1.0.{number}" for number in range(1, BEFORE)))
    return settings.journal_dir.parent


def cut_everywhere(template: Path, folder: Path, change: Change) -> list[str]:
    """What is served after a kill before the first write, the second, ... and so on."""
    served: list[str] = []
    while True:
        settings = copied(template, folder / str(len(served)))
        cut = Cut(settings.prod_models_dir, len(served))
        if not killed(settings, change, cut.install):
            return served
        served.append(restarted(settings))
        try:
            change(promoter_of(settings))
        except (VersionNotNewer, NoFallback):
            assert served[-1] != served[0]
            assert list(left_behind(settings)) == ["1.0.1"] * (change is steps_back)


def test_a_push_cut_at_any_write_leaves_the_old_or_the_new_version(
    template: Path, tmp_path: Path, signer: Signer
) -> None:
    served = cut_everywhere(template, tmp_path / "cut", pushes(signer, "1.0.1"))
    assert served == sorted(served)
    assert set(served) == {"1.0.0", "1.0.1"}


def test_a_prune_cut_at_any_removal_leaves_only_whole_versions(
    crowded: Path, tmp_path_factory: pytest.TempPathFactory, signer: Signer
) -> None:
    folder = tmp_path_factory.mktemp("prune")
    change, served = pushes(signer, "1.0.12"), []
    # Removals come last; before them it is a push like any other.
    for number in range(14, 60):
        settings = copied(crowded, folder / str(number))
        if not killed(settings, change, Cut(settings.prod_models_dir, number).install):
            break
        served.append(restarted(settings))
        assert len(list((settings.prod_models_dir / "versions").iterdir())) >= 10
    assert served
    assert set(served) == {"1.0.12"}


def test_a_rollback_cut_at_any_write_leaves_the_old_or_the_new_version(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory, signer: Signer
) -> None:
    install(settings, signer, "1.0.1")
    folder = tmp_path_factory.mktemp("rollback")
    served = cut_everywhere(settings.journal_dir.parent, folder, steps_back)
    assert served == sorted(served, reverse=True)
    assert set(served) == {"1.0.0", "1.0.1"}


@pytest.mark.parametrize(
    ("what", "limit"), [("push", 3), ("push", 1_000), ("rollback", 3), ("rollback", 200)]
)
def test_a_change_killed_in_the_middle_of_a_file_is_none(
    settings: Settings, signer: Signer, limit: int, what: str
) -> None:
    """The kernel ends the process while it writes: half of the file is there."""
    install(settings, signer, "1.0.1")

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    change = pushes(signer, "1.0.2") if what == "push" else steps_back
    assert killed(settings, change, prepare) == signal.SIGXFSZ
    if restarted(settings) == "1.0.0":
        assert what == "rollback"
        assert left_behind(settings) == ["1.0.1"]
        return
    change(promoter_of(settings))
    # The trail goes on in its own line.
    assert audit_lines(settings)[-1] in ("promotion", "rollback")


def audit_lines(settings: Settings) -> list[str]:
    path = settings.prod_models_dir / "audit.jsonl"
    whole = [line for line in path.read_text().splitlines() if line.endswith("}")]
    path.write_text("\n".join(whole) + "\n")
    return [line["what"] for line in audit(settings)]
