"""Files through the served version: each row once, in order, as /predict answers it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

import usecases
from api.settings import Settings
from shared.errors import SignatureInvalid
from shared.rows.declaration import DeclarationError
from tests.api.server import Running
from tests.support.served_declared import churn_settings
from understudy.score_files import ScoreRequest, score_files
from understudy.score_plan import CannotScore, declared_subject, prepared
from understudy.settings import CommandSettings
from usecases.churn.generate import customers

ROWS = 3_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return churn_settings(tmp_path_factory.mktemp("score"))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Running]:
    with Running(settings, usecases.load_serving("churn")) as running:
        yield running


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "customers.csv"
    customers(ROWS, seed=5).drop("churned").write_csv(path)
    return path


def command(server: Running) -> CommandSettings:
    return CommandSettings.model_validate(
        {"use_case": "churn", "api_url": server.url, "keys_dir": server.settings.keys_dir}
    )


def scored(server: Running, *files: Path, out: Path, restart: bool = False) -> pl.DataFrame:
    request = ScoreRequest(files, out, processes=1, restart=restart)
    score_files(request, command(server), Console(quiet=True))
    return pl.read_csv(out) if out.suffix == ".csv" else pl.read_parquet(out)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_every_row_has_the_answer_of_predict_and_the_version(
    server: Running, table: Path, tmp_path: Path, suffix: str
) -> None:
    found = scored(server, table, out=tmp_path / f"scores{suffix}")
    assert found["row"].to_list() == list(range(1, ROWS + 1))
    assert set(found["version"]) == {"1.0.0"}
    assert found["threshold_decision"].n_unique() == 1
    assert found["error"].null_count() == ROWS
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        f".scores{suffix}.lock",
        f"scores{suffix}",
    ]
    rows = pl.read_csv(table, try_parse_dates=False)
    for at in (0, 17, ROWS - 1):
        sent = rows.row(at, named=True)
        sent["has_fibre"] = sent["has_fibre"] == "yes"
        for moment in ("as_of", "last_call"):
            day = sent[moment]
            sent[moment] = day if day is None or "T" in day else f"{day}T00:00:00Z"
        answer = server.client.post("/predict", json=sent)
        assert answer.status_code == 200, answer.text
        assert answer.json()["probability"] == pytest.approx(found["probability"][at], rel=1e-6)
        assert answer.json()["prediction"] == found["prediction"][at]


def test_a_row_that_cannot_be_scored_says_why_and_the_others_are_scored(
    server: Running, tmp_path: Path
) -> None:
    rows = customers(50, seed=6).drop("churned")
    words = pl.Series(["weekly", *rows["contract"][1:]])
    path = tmp_path / "rows.csv"
    rows.with_columns(words.alias("contract")).write_csv(path)
    found = scored(server, path, out=tmp_path / "scores.parquet")
    assert "contract is 'weekly'" in found["error"][0]
    assert found["probability"].is_null().to_list() == [True] + [False] * 49


def test_a_folder_of_packed_and_plain_tables_is_one_output(server: Running, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    rows = customers(90, seed=7).drop("churned")
    rows.head(40).write_parquet(folder / "a.parquet")
    rows.tail(50).write_csv(folder / "b.csv")
    subprocess.run(["gzip", folder / "b.csv"], check=True)
    found = scored(server, folder, out=tmp_path / "scores.parquet")
    assert found["row"].to_list() == [*range(1, 41), *range(1, 51)]


def test_what_cannot_be_done_is_refused_with_its_remedy(
    server: Running, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    out.touch()
    with pytest.raises(CannotScore, match="is there already"):
        scored(server, table, out=out)
    with pytest.raises(CannotScore, match=r"end its name with \.csv or \.parquet"):
        scored(server, table, out=tmp_path / "scores.xlsx")
    mapped = ScoreRequest((table,), tmp_path / "x.csv", mapping=tmp_path / "mapping.toml")
    with pytest.raises(CannotScore, match=r"usecase\.toml \(from"):
        score_files(mapped, command(server), Console(quiet=True))


def test_a_file_without_a_declared_column_leaves_nothing_that_stands_in_the_way(
    server: Running, table: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "rows.csv", tmp_path / "scores.csv"
    pl.read_csv(table).drop("contract").write_csv(path)
    with pytest.raises(DeclarationError, match="no column 'contract'"):
        scored(server, path, out=out)
    assert not out.with_name(f"{out.name}.parts").exists()
    path.write_bytes(table.read_bytes())
    assert len(scored(server, path, out=out)) == ROWS


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_each_row_is_there_once(
    server: Running, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        customers(400, seed=number).drop("churned").write_csv(folder / f"{number:02}.csv")
    out = tmp_path / "scores.parquet"
    environment = {
        **os.environ,
        "USE_CASE": "churn",
        "API_URL": server.url,
        "KEYS_DIR": str(server.settings.keys_dir),
        "VAR_DIR": str(tmp_path / "var"),
    }
    arguments = ["score", str(folder), "--out", str(out), "--processes", "2"]
    run = [sys.executable, "-m", "understudy", *arguments]
    first = subprocess.Popen(run, env=environment, stdout=subprocess.DEVNULL)
    parts = out.with_name(f"{out.name}.parts")
    deadline = time.monotonic() + 120
    while not list(parts.glob("part-*.parquet")) and first.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    subprocess.run(run, env=environment, check=True, timeout=240, stdout=subprocess.DEVNULL)
    found = pl.read_parquet(out)
    assert found["row"].to_list() == [*range(1, 401)] * 12
    assert not parts.exists()


def test_parts_of_another_run_are_not_mixed_in(
    server: Running, table: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "rows.csv", tmp_path / "scores.csv"
    path.write_bytes(table.read_bytes())
    parts = out.with_name(f"{out.name}.parts")
    folder = usecases.declared_folder("churn")
    assert folder is not None
    prepared(
        command(server), declared_subject(folder), [path], parts, 1, version=None, restart=False
    )
    customers(100, seed=9).write_csv(path)
    with pytest.raises(CannotScore, match="--restart"):
        scored(server, path, out=out)
    assert len(scored(server, path, out=out, restart=True)) == 100


def test_a_bundle_that_no_key_of_ours_signed_is_refused(
    server: Running, table: Path, tmp_path: Path
) -> None:
    keys, push = tmp_path / "keys", "push/push.token"
    (keys / "push").mkdir(parents=True)
    (keys / push).write_bytes((server.settings.keys_dir / push).read_bytes())
    (keys / push).chmod(0o600)
    strangers = command(server).model_copy(update={"keys_dir": keys})
    out = tmp_path / "scores.csv"
    with pytest.raises(SignatureInvalid, match="no trusted key"):
        score_files(ScoreRequest((table,), out), strangers, Console(quiet=True))
    assert not out.exists()


def test_recording_needs_ids_of_rows_and_says_so(
    server: Running, table: Path, tmp_path: Path
) -> None:
    request = ScoreRequest((table,), tmp_path / "x.csv", record=True)
    with pytest.raises(CannotScore, match="row_id"):
        score_files(request, command(server), Console(quiet=True))
    assert not list(tmp_path.glob("x.csv*"))
