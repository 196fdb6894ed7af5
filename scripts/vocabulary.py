"""The retired words of this project, each with the standard term that replaced it.

IDENTIFIERS are compared as whole names, without leading underscores; MODULES are paths.
tests/scripts/test_vocabulary.py refuses both, and `python -m scripts.shape` counts them. The same
test refuses docstrings that open with a word of RIDDLES: they name a thing by a question, and
comments, docstrings, messages and pages with a phrase of WORDING.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

IDENTIFIERS: Mapping[str, str] = MappingProxyType(
    {
        "Answered": "Reply",
        "Arms": "ModelRouter",
        "Ask": "TrainingRequest",
        "BaselineColumn": "ColumnBaseline",
        "CandidateForm": "CandidateSerializer",
        "Carrier": "BatchWriter",
        "ChildCarrier": "SubprocessWriter",
        "Conductor": "RolloutController",
        "DatabaseDuty": "DatabaseLease",
        "Doorkeeper": "Authenticator",
        "DriftParts": "DriftContext",
        "Duty": "LeadershipLease",
        "Follower": "FileWatcher",
        "Form": "Serializer",
        "FrameForm": "FrameSerializer",
        "Hop": "LoopDispatcher",
        "HopSwitch": "LoopDispatcher",
        "Inheritance": "OrphanedJournals",
        "Kept": "StepCache",
        "Left": "LaggingWorker",
        "MatrixForm": "MatrixSerializer",
        "ModelHolder": "ModelSlot",
        "NoReference": "NoBaseline",
        "OneThread": "NoLocks",
        "Outage": "OutageLog",
        "Outlook": "TaskPrediction",
        "Parts": "CycleContext",
        "Place": "WorkerContext",
        "Player": "RoundRunner",
        "Shelf": "ModelLoader",
        "ShortTurns": "CooperativeYield",
        "ShortWayProtocol": "FastPathProtocol",
        "ShortWays": "FastRoutes",
        "StepBack": "Rollback",
        "StrictClock": "MonotonicClock",
        "Tick": "PeriodicTask",
        "Ticks": "MicroBatcher",
        "TrialKeeper": "Reconciler",
        "TrialMaker": "TrialFactory",
        "Trials": "TrialFactory",
        "Turns": "UserLocks",
        "ValueForm": "JsonSerializer",
        "Way": "FastRoute",
        "Work": "StepCache",
        "Workforce": "WorkerRoster",
        "Workshop": "Workspace",
        "Yardstick": "ChampionBaseline",
        "apart": "isolation",
        "champions_yardstick": "baseline_of_champion",
        "go_uvicorns_way": "fall_back",
        "judge_alone": "judge_absolute",
        "made_ready": "call_precompiled",
        "named_yardstick": "baseline_of_version",
        "open_workshop": "open_workspace",
        "outlook": "prediction",
        "reference_of": "baseline_of",
        "refuse_twins": "refuse_duplicates",
        "score_apart": "score_isolated",
        "set_aside": "dead_letter",
        "spending_figures": "alpha_numbers",
        "step_back": "roll_back",
        "take_duty": "take_leadership",
        "twins": "duplicates",
        "twins_after": "duplicates_after",
        "wait_for_surroundings": "wait_until_ready",
        "workshop": "workspace",
        "yardstick": "baseline",
    }
)

MODULES: Mapping[str, str] = MappingProxyType(
    {
        "api/aftermath.py": "api/models/upkeep.py",
        "api/http/door.py": "api/http/auth.py",
        "api/http/one_write.py": "api/http/bounded.py",
        "api/http/short_way.py": "api/http/fast_path.py",
        "api/journal/carrier.py": "api/journal/writer.py",
        "api/journal/child_carrier.py": "api/journal/subprocess_writer.py",
        "api/journal/keeping.py": "api/journal/build.py",
        "api/journal/short_turns.py": "api/journal/subprocess_writer.py",
        "api/memory.py": "native/linux.py",
        "api/models/live.py": "api/models/model_slot.py",
        "api/models/shelf.py": "api/models/model_loader.py",
        "api/models/stage.py": "api/models/serving_state.py",
        "api/models/stepback.py": "api/models/pointer.py",
        "api/models/watched.py": "api/models/crashes.py",
        "api/rollout/conductor.py": "api/rollout/controller.py",
        "api/rollout/figures.py": "api/rollout/arm_statistics.py",
        "api/rollout/keeper.py": "api/rollout/reconciler.py",
        "api/rollout/tally.py": "api/rollout/arm_counts.py",
        "api/rollout/trials.py": "api/rollout/reconciler.py",
        "api/rollout/view.py": "api/rollout/arm_statistics.py",
        "api/scoring/arms.py": "api/scoring/model_router.py",
        "api/scoring/cache.py": "api/scoring/idempotency.py",
        "api/scoring/lookup.py": "api/scoring/idempotency.py",
        "api/scoring/repeats.py": "api/scoring/idempotency.py",
        "api/scoring/ticks.py": "api/scoring/batching.py",
        "api/scoring/turns.py": "api/scoring/user_locks.py",
        "api/workers/figures.py": "api/workers/merged_metrics.py",
        "api/workers/follower.py": "api/workers/file_watcher.py",
        "api/workers/journals.py": "api/journal/orphaned.py",
        "api/workers/place.py": "api/workers/worker_context.py",
        "api/workers/workforce.py": "api/workers/roster.py",
        "scheduler/cycle/examination.py": "scheduler/cycle/gates.py",
        "scheduler/cycle/findings.py": "scheduler/cycle/run.py",
        "scheduler/cycle/lease.py": "scheduler/cycle/promotion.py",
        "scheduler/cycle/parts.py": "scheduler/cycle/context.py",
        "scheduler/cycle/past.py": "scheduler/run_history.py",
        "scheduler/cycle/reference.py": "scheduler/cycle/baseline.py",
        "scheduler/drift/page/figures.py": "scheduler/drift/page.py",
        "scheduler/drift/reference.py": "scheduler/drift/baseline.py",
        "scheduler/drift/yardstick.py": "scheduler/drift/baseline.py",
        "scheduler/flattening.py": "scheduler/tracked_run.py",
        "scheduler/replay/figures.py": "scheduler/replay/page.py",
        "scheduler/replay/player.py": "scheduler/replay/rounds.py",
        "scheduler/replay/workshop.py": "scheduler/replay/workspace.py",
        "scheduler/report/figures.py": "scheduler/report/model_charts.py",
        "scheduler/rollout/duty.py": "scheduler/rollout/driver.py",
        "scheduler/schedule/outage.py": "scheduler/schedule/outage_log.py",
        "scheduler/statistics/alone.py": "scheduler/statistics/absolute.py",
        "scheduler/statistics/figures.py": "scheduler/statistics/verdict_numbers.py",
        "scheduler/statistics/spending.py": "scheduler/statistics/policy.py",
        "scheduler/surroundings.py": "scheduler/readiness.py",
        "scheduler/work/forms.py": "scheduler/step_cache.py",
        "scheduler/work/kept.py": "scheduler/step_cache.py",
        "shared/features/beforehand.py": "native/precompile.py",
        "shared/tables/duties.py": "shared/tables/leases.py",
        "usecases/fraud/features/tick.py": "usecases/fraud/features/row_batch.py",
    }
)


ONE_MEANING = frozenset(
    {
        "Action",
        "Comparison",
        "Decision",
        "Estimate",
        "Evidence",
        "Finding",
        "Findings",
        "Heartbeat",
        "Kind",
        "Mean",
        "Outcome",
        "Record",
        "Row",
        "Rule",
        "Scores",
        "Settings",
        "Step",
        "Table",
        "Tick",
        "Verdict",
        "Window",
    }
)
"""Class names that stood for two to five things; each names at most one class now."""


RIDDLES = frozenset({
    "after", "also", "as", "before", "by", "from", "how", "in", "it", "no", "nobody", "not",
    "nothing", "now", "of", "on", "only", "since", "that", "then", "they", "those", "to", "until",
    "what", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "with",
    "without",
})  # fmt: skip
"""First words of docstrings that ask a question or begin in the middle of a sentence."""

WORDING: Mapping[str, str] = MappingProxyType(
    {
        r"whoever|whomever|whosoever": "any caller, every, the user who",
        r"nobody|somebody": "no process, a person, another caller",
        r"so many|as many again": "this many",
        r"nought": "zero",
        r"anew": "again",
        r"shall": "must, has to",
        r"thereby|whatsoever|hitherto|henceforth": "(leave it out)",
        r"at hand": "available, current",
        r"signs? of life": "heartbeat, response",
        r"slips? of the pen": "typing error",
        r"broke off": "failed",
        r"what serves": "the live version",
        r"yardstick": "baseline",
        r"(?<!there )(?:is|are) no (?:\w+ )?(?:number|text|date|instant|interval|name|version|size|"
        r"port|flag|word|archive|label|row|record|file|metric|class)s?": "is not a ...",
        r"none of its values|none of the (?:classes|words)": "is not one of",
    }
)
"""Phrases that are archaic, poetic or not English, as patterns of whole words, and plain ones."""


@dataclass(frozen=True)
class Retired:
    """A retired word that stands in the code."""

    path: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word} (now {self.instead})"


def retired_words(root: Path, files: list[Path]) -> list[Retired]:
    """Every retired module and identifier in these Python files."""
    return [found for file in files for found in _in_file(file.relative_to(root).as_posix(), file)]


def _in_file(path: str, file: Path) -> Iterator[Retired]:
    if path in MODULES:
        yield Retired(path, 1, path, MODULES[path])
    for line, name in identifiers(ast.parse(file.read_text(), path)):
        word = name.lstrip("_")
        if word in IDENTIFIERS:
            yield Retired(path, line, word, IDENTIFIERS[word])


def riddles(path: str, tree: ast.Module) -> Iterator[str]:
    """Docstrings of modules, classes, functions and variables that open with a word of RIDDLES."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))) if text.strip():
                first = text.split(maxsplit=1)[0].rstrip(",:;").lower()
                if first in RIDDLES:
                    yield f"{path}:{node.lineno}: {text.strip().splitlines()[0]}"


def phrases(path: str, text: str) -> Iterator[str]:
    """Places of phrases of WORDING: of a Python file in comments and strings, else anywhere."""
    prose = _python_prose(text) if path.endswith(".py") else enumerate(text.splitlines(), 1)
    for line, words in prose:
        for pattern, instead in WORDING.items():
            for found in re.finditer(rf"\b(?:{pattern})\b", words, re.IGNORECASE):
                yield f"{path}:{line}: {found[0]} ({instead})"


def _python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Comments and strings of more than one word, with their lines."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds and " " in token.string.strip():
            for number, line in enumerate(token.string.splitlines()):
                yield token.start[0] + number, line


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name a module defines, imports or uses, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield line, name
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield line, name
            case ast.keyword(arg=str(name)):
                yield line, name
            case ast.alias(name=name):
                yield line, name.rpartition(".")[2]
