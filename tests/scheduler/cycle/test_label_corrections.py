"""Labels changed since the champion was trained are reported by run and page."""

from dataclasses import replace

from sqlalchemy import insert

from shared.tables.schema import label_changes
from tests.scheduler.report.pages import Page
from tests.support.cycle_bench import CycleBench


def turn(bench: CycleBench, key: str, old: int, new: int) -> None:
    now_us = bench.clock.now_us()
    with bench.context.engine.begin() as connection:
        row = {"transaction_id": key, "label": old, "label_known_at": now_us - 1}
        row |= {"label_source": "bank", "new_label": new, "replaced_at": now_us}
        connection.execute(insert(label_changes).values(row))


def test_corrections_since_the_champion_are_counted_in_the_snapshot_step_and_on_the_page(
    bench: CycleBench,
) -> None:
    turn(bench, "before", 1, 0)
    bench.clock.move(1_000_000)
    bench.context = replace(bench.context, reports=True)
    first = bench.run()
    turn(bench, "t1", 1, 0)
    turn(bench, "t2", 0, 1)
    turn(bench, "t3", 0, 1)
    bench.clock.move(1_000_000)
    second = bench.run()
    told = {run.run_id: run.steps for run in (first, second)}
    snapshots = [
        next(step for step in steps if step["step"] == "snapshot") for steps in told.values()
    ]
    assert [step.get("label_corrections") for step in snapshots] == [
        {"to_positive": 0, "to_negative": 1},
        {"to_positive": 2, "to_negative": 1},
    ]
    page = bench.root / "retrained_models" / str(second.model_version) / "report.html"
    text = " ".join(" ".join(Page(page.read_text()).words).split())
    assert "labels corrected since the champion was made" in text
    assert "2 to positive, 1 to negative" in text


def test_a_run_without_corrections_says_nothing_of_them(bench: CycleBench) -> None:
    run = bench.run()
    assert all("label_corrections" not in step for step in run.steps)
