"""Several API hosts, HAProxy and PostgreSQL on this machine, and what fails. `make bench-hosts`

Real processes with a folder each; nothing is shared but the database. `--short` takes a minute or
two, `--only kept` runs one case.
"""

from benchmarks import hosts_kills, hosts_store
from benchmarks.cases import Case, run_cases

CASES: tuple[Case, ...] = (hosts_kills.KEPT, hosts_kills.DESTROYED, hosts_store.CASE)


if __name__ == "__main__":
    run_cases("hosts", CASES, __doc__)
