"""A process without native parts computes the same features and says what it does without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.tables.engine import connect, migrate
from shared.tables.writer import write_history
from tests.support.reserved import reserved
from tests.usecases.fraud.features.frames import DAY, HOUR, START, record, transaction
from usecases.fraud.features.online import FraudFeatureSource

ROOT = Path(__file__).parents[2]
# not the cache: everything would be compiled in this test
SWITCHED_OFF = "compile-events,raw-addresses,compiled-reading,wal-index"
ASK = """
import sys
from native.catalogue import states
from shared.tables.engine import connect
from tests.support.reserved import reserved
from tests.usecases.fraud.features.frames import HOUR, START, transaction
from usecases.fraud.features.online import FraudFeatureSource

source = FraudFeatureSource(connect(sys.argv[1]))
for number in (901, 902):
    row = transaction(number, START + number * HOUR, user_id="Zoë", merchant_id="店")
    print(reserved(source, [row]).tobytes().hex())
print(sorted(name for name, is_in_use in states().items() if is_in_use))
"""


@pytest.mark.coupling
def test_a_process_without_them_computes_the_same_features(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    engine = connect(url)
    migrate(engine)
    with engine.begin() as connection:
        rows = [
            transaction(at, START + 30 * DAY + at * HOUR, user_id="Zoë", merchant_id="店")
            for at in range(50)
        ]
        write_history(connection, [record(row) for row in rows])
    source = FraudFeatureSource(engine)
    here = [
        reserved(
            source, [transaction(number, START + number * HOUR, user_id="Zoë", merchant_id="店")]
        )
        for number in (901, 902)
    ]
    done = subprocess.run(
        [sys.executable, "-c", ASK, url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NATIVE_PARTS_OFF": SWITCHED_OFF},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    # nothing but the answers: a parent may read the output
    first, second, in_use = done.stdout.splitlines()
    assert in_use == "['compile-cache']"
    assert [first, second] == [each.tobytes().hex() for each in here]
    said = {name for name in SWITCHED_OFF.split(",") if f"part='{name}'" in done.stderr}
    assert said >= {"raw-addresses", "compiled-reading", "wal-index"}
