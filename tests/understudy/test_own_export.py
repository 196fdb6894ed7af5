"""An export goes from a proposal to a preview, and what is doubtful is told with its place."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., "subprocess.CompletedProcess[str]"]
EXPORT = """Booking ref;Card holder;Booked;Sum;Shop;Fraude ?
=" 00123 ";c1;Mon, 05 Jan 2026 10:15:00 GMT;\N{EURO SIGN} 1.234,56;s1;oui
00124;c1;Tue, 06 Jan 2026 10:15:00 GMT;1 234,50 \N{EURO SIGN};s1;non
00125;c2;Wed, 07 Jan 2026 10:15:00 +0100;(12,50);s2;non
00126;c2;Thu, 08 Jan 2026 10:15:00 GMT;7,00;s2;peut-\N{LATIN SMALL LETTER E WITH CIRCUMFLEX}tre
"""


def test_a_proposal_tells_its_doubts_and_a_preview_the_rows_that_would_not_come_in(
    understudy: Command, tmp_path: Path
) -> None:
    file, mapping = tmp_path / "a.csv", tmp_path / "m.toml"
    file.write_text(EXPORT)
    proposed = understudy("mapping", str(file), "--out", str(mapping))
    assert proposed.returncode == 0, proposed.stderr
    assert "[labels]" in proposed.stdout
    assert 'transaction_id = "Booking ref"' in mapping.read_text()

    shown = understudy("import", str(file), "--mapping", str(mapping), "--dry-run").stdout
    assert "1234.56" in shown
    assert "row 3 rejected: amount is negative" in shown
    assert "1: label is not a known word" in shown
    assert "Nothing was written." in shown
