"""What a promoted bundle says in baseline.json."""

from scheduler.drift.baseline import decode
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from tests.support.cycle_bench import CycleBench


def test_a_bundle_carries_what_its_model_was_trained_on_and_how_good_it_was(
    bench: CycleBench,
) -> None:
    run = bench.run()
    raw = bench.context.candidates.bundle(Version.parse(str(run.model_version)))
    assert raw is not None
    bundle = unpack(raw)
    baseline = decode(bundle.files["baseline.json"])
    columns = baseline.columns
    assert set(columns) == {"size", "speed", "noise", "label", "score"}
    training, held_out = bundle.manifest.training_data, run.metrics["held_out"]
    assert columns["size"].rows == columns["label"].rows == training.rows
    assert columns["label"].counts[1] == training.positives
    # scores of rows it has learned from would be surer than it will ever be again
    assert columns["score"].rows == baseline.held_out.rows == held_out["rows"]
    assert baseline.held_out.positives == held_out["positives"]
