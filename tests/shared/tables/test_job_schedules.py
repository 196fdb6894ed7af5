"""The schedule of a job in words."""

import pytest

from shared.tables.job_schedules import JobSchedule


@pytest.mark.parametrize(("job", "word"), [("retraining", "paused"), ("archive", "off")])
def test_only_retraining_is_paused_and_other_jobs_are_off(job: str, word: str) -> None:
    assert JobSchedule(job, "1D", False, 0, 0, 0, None, 0).disabled_word == word
