"""VAR_DIR moves everything that is kept in one setting; another use case has its own folder."""

from pathlib import Path

import pytest

from api.settings import Settings
from scheduler.settings import SchedulerSettings
from shared.settings import SettingGroup, load
from understudy.settings import CommandSettings

KINDS = (Settings, SchedulerSettings, CommandSettings)


def kept(kind: type[SettingGroup]) -> dict[str, str]:
    """Every path of a service, the database among them."""
    settings = load(kind)
    found = {
        name: str(value)
        for name, value in settings
        if isinstance(value, Path) and name != "var_dir"
    }
    return {**found, "database_url": settings.database_url.get_secret_value()}  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in {name.upper() for kind in KINDS for name in kind.model_fields}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_without_either_everything_is_where_it_was(
    kind: type[SettingGroup], tmp_path: Path
) -> None:
    found = kept(kind)
    assert found["database_url"] == f"sqlite:///{tmp_path}/var/understudy.db"
    assert found["keys_dir"] == str(tmp_path / "var/keys")
    assert found.get("prod_models_dir", str(tmp_path / "prod_models")) == str(
        tmp_path / "prod_models"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_setting_moves_everything(
    kind: type[SettingGroup], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAR_DIR", "elsewhere")
    found = kept(kind)
    assert found["database_url"] == f"sqlite:///{tmp_path}/elsewhere/understudy.db"
    assert found["keys_dir"] == str(tmp_path / "elsewhere/keys")
    outside = [path for path in found.values() if str(tmp_path / "elsewhere") not in path]
    assert outside == []


@pytest.mark.parametrize("kind", KINDS)
def test_two_use_cases_share_no_path(
    kind: type[SettingGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    fraud = kept(kind)
    monkeypatch.setenv("USE_CASE", "churn")
    churn = kept(kind)
    monkeypatch.setenv("USE_CASE", "prices")
    prices = kept(kind)
    assert all("/var/churn/" in path for path in churn.values())
    assert not set(fraud.values()) & set(churn.values())
    assert not set(prices.values()) & set(churn.values())


def test_what_is_set_itself_stays_where_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAR_DIR", "elsewhere")
    monkeypatch.setenv("KEYS_DIR", "safe")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///mine.db")
    found = kept(Settings)
    assert found["keys_dir"] == str(tmp_path / "safe")
    assert found["database_url"] == f"sqlite:///{tmp_path}/mine.db"
    assert found["journal_dir"] == str(tmp_path / "elsewhere/journal")


def test_a_service_and_the_commands_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_CASE", "churn")
    api, scheduler, commands = (kept(kind) for kind in KINDS)
    for name in ("database_url", "keys_dir"):
        assert api[name] == scheduler[name] == commands[name]
    assert scheduler["retrained_models_dir"] == commands["retrained_models_dir"]
