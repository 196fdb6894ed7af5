"""The replay itself: round after round of the real cycle, then a look at what came of it."""

from scheduler.replay.asked import Asked, Watcher
from scheduler.replay.history import Hindsight, switched_features
from scheduler.replay.identity import identity, round_keys
from scheduler.replay.record import Round
from scheduler.replay.rounds import RoundRunner
from scheduler.replay.workspace import open_workspace

NAME_LENGTH = 12


def replay(asked: Asked, watcher: Watcher) -> list[Round]:
    """All rounds, those that an earlier process finished not played again.

    Raises:
        ReplayImpossible: there is nothing to replay, or another process is at it.
        DataUnavailable: the history cannot be read; finished rounds stay.
    """
    watcher.reading()
    hindsight = Hindsight(asked.use_case, asked.history, asked.known_us)
    hindsight.check(asked.spans)
    switched = switched_features(asked.history)
    named = identity(asked.use_case, (*_settings(asked), switched))
    keys = round_keys(named, asked.spans, hindsight)
    with open_workspace(asked.work / named[:NAME_LENGTH]) as workspace:
        rounds = workspace.rounds.finished(keys)
        workspace.restore(rounds, switched)
        watcher.planned(workspace.folder, rounds, len(asked.spans))
        runner = RoundRunner(asked, workspace, hindsight, watcher)
        for span, key in list(zip(asked.spans, keys, strict=True))[len(rounds) :]:
            record = runner.play(span, key, rounds)
            workspace.rounds.save(record)
            rounds.append(record)
            watcher.ended(record)
    return rounds


def _settings(asked: Asked) -> tuple[object, ...]:
    return (
        asked.settings,
        asked.spans[0],
        asked.seed,
        asked.latency_budget_ms,
        asked.use_case.policy,
    )
