from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from scheduler.settings import SchedulerSettings, load_settings
from shared.errors import SettingsError
from shared.outbound import check_address, check_place
from shared.rows.declaration import DeclarationError, parse_declaration
from understudy.settings import CommandSettings

GOOD = ("http://127.0.0.1:8000", "https://api.example/base", "http://u:p@[::1]:5000", "http://api")
BAD: Mapping[str, str] = {
    "a file": "file:///etc/passwd",
    "another protocol": "gopher://127.0.0.1:6379/_FLUSHALL",
    "a protocol of its own": "databricks",
    "a host alone": "127.0.0.1:8000",
    "no host": "http://",
    "a line break": "http://api\r\nHost: evil",
    "a backslash": "http://api\\@evil",
    "a host of look-alike letters": "http://\u0430pi.example",
    "a port that is none": "http://api:99999",
    "a query": "http://api/?next=http://evil",
    "a fragment": "http://api#@evil/",
    "blanks": "http://api @evil",
}


@pytest.mark.parametrize("address", GOOD)
def test_an_address_of_a_web_service_is_taken(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize("address", BAD.values(), ids=BAD.keys())
def test_what_is_no_address_of_a_web_service_is_refused_wherever_it_is_set(address: str) -> None:
    with pytest.raises(ValueError, match="mlflow_tracking_uri"):
        SchedulerSettings.model_validate({"mlflow_tracking_uri": address})
    with pytest.raises(ValueError, match="api_url"):
        SchedulerSettings.model_validate({"api_url": address})
    with pytest.raises(ValueError, match="api_url"):
        CommandSettings.model_validate({"api_url": address})


def test_a_refused_address_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://user:hunter2@host")
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    settings = SchedulerSettings(mlflow_tracking_uri=SecretStr("http://user:hunter2@host"))
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "place",
    ["s3://name:hunter2@bucket/rows", "az://account/container/rows?sv=2024&sig=hunter2"],
)
def test_a_password_in_the_place_of_data_is_refused_and_not_repeated(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages and the table of changes say where rows come from."""
    monkeypatch.setenv("LAKE_URL", place)
    with pytest.raises(SettingsError, match=r"LAKE_URL.*no password in it") as caught:
        load_settings()
    text = f'[source]\nfiles = ["customers.csv", "{place}"]\n'
    with pytest.raises(DeclarationError, match=r"source\.files.*no password in it") as refused:
        parse_declaration(text)
    assert "hunter2" not in f"{caught.value}{refused.value}"


@pytest.mark.parametrize(
    "place", ["var/lake", "s3://bucket/rows", "abfss://files@account.dfs.core.windows.net/rows"]
)
def test_a_place_without_a_password_is_taken(place: str) -> None:
    assert check_place(place) == place


def test_who_moves_the_api_of_this_machine_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_URL", raising=False)
    monkeypatch.setenv("API_PORT", "9000")
    wanted = "http://127.0.0.1:9000"
    assert (SchedulerSettings().api_url, CommandSettings().api_url) == (wanted, wanted)
    monkeypatch.setenv("API_URL", "http://elsewhere")
    assert (SchedulerSettings().api_url, CommandSettings().api_url) == ("http://elsewhere",) * 2
