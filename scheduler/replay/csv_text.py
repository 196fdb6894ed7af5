"""The replay as CSV: a line for each round and policy, for whoever wants to count again."""

import csv
import io
from collections.abc import Sequence

from scheduler.replay.policies import Policy
from scheduler.replay.record import Round
from scheduler.replay.summary import metric_names
from shared.clock import isoformat

_ABOUT = (
    "round",
    "as_of",
    "until",
    "status",
    "code",
    "reason",
    "candidate",
    "champion_before",
    "drift_alarm",
    "policy",
    "serves",
    "rows",
    "positives",
    "unlabelled",
)


def csv_text(rounds: Sequence[Round]) -> str:
    """All rounds; an empty field is what is undefined, or not there."""
    names = metric_names(rounds)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow((*_ABOUT, *names))
    for record in rounds:
        for policy in Policy:
            writer.writerow(_line(record, policy, names))
    return buffer.getvalue()


def _line(record: Round, policy: Policy, names: Sequence[str]) -> list[object]:
    span, run, scores = record.span, record.run, record.scored(policy)
    return [
        span.number,
        isoformat(span.as_of_us),
        isoformat(span.until_us),
        run["status"],
        run["statuscode"],
        record.reason,
        record.candidate,
        run["championversion"],
        record.drifted,
        policy.value,
        record.serving[policy],
        record.rows,
        record.positives,
        record.unlabelled,
        *(scores.get(name) for name in names),
    ]
