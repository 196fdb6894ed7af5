"""Loss of acknowledged rows under kills, power cuts and damaged files: `make bench-journal`.

The real API process, with its drain in a separate process, answers rows and dies, again and
again, each time in a way that one of the cases knows. Each life begins on what the last one left.
At the end the journal is drained and counted: every answered id for which the settings promise it
has to be in the database exactly once, the merchants' tiles have to count each row once, and rows
sent again in a later life have to be answered as they were.

`python -m benchmarks.journal --short` takes a minute or two, `--only power` runs one case.
"""

from benchmarks import journal_damage, journal_database, journal_kills, journal_power
from benchmarks.cases import Case, run_cases

# A further fault needs a file with a CASE, and a line here.
CASES: tuple[Case, ...] = (
    journal_kills.CASE,
    journal_power.CASE,
    journal_damage.CASE,
    journal_database.CASE,
)


if __name__ == "__main__":
    run_cases("journal", CASES, __doc__)
