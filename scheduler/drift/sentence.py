"""The result of a drift check, and what to do about it, in one sentence."""

from scheduler.drift.alarm import Response
from scheduler.drift.finding import DriftFinding

_NAMED = 4


def drifted_names(finding: DriftFinding) -> str:
    """The columns that moved, the furthest first."""
    names = [column.name for column in finding.report.alarms]
    rest = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {rest} more" if rest > 0 else shown


def answer(finding: DriftFinding, response: Response, asked: int | None = None) -> str:
    """The sentence for the top of the page, the message of the run and the command line.

    `asked` is the retraining that was asked for because of it.
    """
    report = finding.report
    if not report.drifted:
        return (
            f"No: {report.rows:,} rows look like what {finding.champion} was trained on in all "
            f"{len(report.columns)} columns; nothing to do."
        )
    moved = "has" if len(report.alarms) == 1 else "have"
    return (
        f"Yes: {drifted_names(finding)} {moved} moved away from what {finding.champion} was "
        f"trained on; {response.advice}{_asked(asked)}."
    )


def _asked(run_id: int | None) -> str:
    return "" if run_id is None else f" (run {run_id} has been asked for)"
