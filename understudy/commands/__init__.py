"""The list of commands: `understudy --help` prints it without importing any of them."""

PANELS = {
    "Begin": "run demo seed traffic new",
    "What is live": "status versions runs retrain schedule rollback revoke rollout approvals "
    "approve refuse",
    "Why": "decision dossier drift replay audit policy rehearse",
    "Rows": "import mapping rows feedback score erase archive rebuild-tiles reset",
    "Keep it running": "doctor backup restore journal token keys",
}
"""Groups of `understudy --help`, in its order; each names its commands."""

SUMMARIES = {
    "audit": {
        "dossier": "Write all that is recorded about a version: card, data, gates, rollout, "
        "alerts, people.",
        "audit": "Print the audit trail, and check that no line of it was changed, removed or put "
        "in.",
    },
    "data": {
        "import": "Import your own rows: transactions with a mapping, or those of a declared use "
        "case.",
        "mapping": "Propose a mapping for a file: which of its columns may be which of ours, and "
        "why.",
        "rebuild-tiles": "Count the merchant tiles again, after rows were written to the logs by "
        "hand.",
        "reset": "Reset: database, journal, models and candidates are moved aside, none is "
        "deleted.",
    },
    "decision": {
        "decision": "Print one decision: rules with the values they saw, scores, contributions, "
        "label, champion.",
    },
    "demo": {
        "demo": "Play the life of a model in ten minutes, and end by itself.",
        "rehearse": "Watch a bad version go live and be rolled back.",
    },
    "drift": {
        "drift": "Check now whether live traffic has moved away from what the champion was "
        "trained on.",
    },
    "keys": {
        "token": "Print the token of a role, for use with curl.",
        "keys": "List the keys that sign bundles; `rotate` and `retire` change them.",
    },
    "models": {
        "status": "Print the state of every part: model, journal, database, schedule, a run in "
        "progress.",
        "versions": "Print every version the API accepted, and every candidate that is still kept.",
    },
    "new": {
        "new": "Make a use case of a file and a label column: writes usecases/NAME/usecase.toml.",
    },
    "policy": {
        "replay": "Run the real cycle over stored history with a simulated clock.",
        "policy": "Check the policy of a use case: what a candidate has to show.",
    },
    "removal": {
        "erase": "Erase what is stored of one entity: rows, labels, decisions, archives, held-out "
        "sets.",
        "archive": "Move old rows with their labels and decisions into files, and free their "
        "space.",
    },
    "retrain": {
        "retrain": "Ask the scheduler for a training run now, as POST "
        "/api/mlops/trigger-retraining does.",
    },
    "rollout": {
        "rollout": "Show the version on trial beside the live one; `advance`, `promote` or "
        "`abort` it.",
    },
    "rows": {
        "rows": "Find stored rows, correct or remove them, and undo such a change.",
    },
    "runs": {
        "runs": "Print the runs of the scheduler, newest first, from the table ModelTrainingRuns.",
    },
    "schedule": {
        "schedule": "Show when models are retrained; `set`, `pause` and `resume` change it within "
        "10 s.",
    },
    "score": {
        "score": "Score files with the served version.",
    },
    "services": {
        "run": "Start both services and the console; an empty database of transactions is filled "
        "first.",
        "seed": "Fill an empty database with a synthetic past; one that has rows is not changed.",
        "traffic": "Send traffic of new customers at their own pace, and the labels when they "
        "become known.",
    },
    "serving": {
        "rollback": "Serve an older version again, within seconds; scheduler and database are not "
        "needed.",
        "revoke": "Revoke a version: it is never served again; a live one is rolled back first, a "
        "trial ends.",
        "feedback": "Tell what turned out to be true of one row. Many rows: `understudy import`, "
        "or /feedback.",
        "approvals": "Print the candidates that wait for a person (APPROVAL=required), and those "
        "that waited.",
        "approve": "Let a candidate that passed every gate be promoted; the scheduler does so "
        "within seconds.",
        "refuse": "Keep a candidate that waits from being promoted; the live version stays.",
    },
    "upkeep": {
        "doctor": "Check folders, database, keys, ports, services, clock, disk and native parts.",
        "backup": "Back up the instance of the settings while it runs: database, journal, "
        "registry, candidates.",
        "restore": "Restore an instance from an archive of `understudy backup`; stop the services "
        "first.",
        "journal": "Rescue the write-ahead log of decisions of a host that is lost.",
    },
}
"""Module of this folder -> the commands it registers, with the first words of their help."""
