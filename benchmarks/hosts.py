"""Several API hosts, HAProxy and PostgreSQL on this machine, and what fails. `make bench-hosts`

Real processes with a folder each; nothing is shared but the database and, where versions change,
a store. `--short` takes a few minutes, `--only kept races` runs these cases.
"""

from benchmarks import hosts_kills, hosts_outage, hosts_scaling, hosts_store
from benchmarks.cases import Case, run_cases

CASES: tuple[Case, ...] = (
    hosts_kills.KEPT,
    hosts_kills.DESTROYED,
    *hosts_store.CASES,
    hosts_outage.CASE,
    hosts_scaling.CASE,
)


if __name__ == "__main__":
    run_cases("hosts", CASES, __doc__)
