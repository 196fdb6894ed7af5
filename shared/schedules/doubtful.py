"""Texts that could mean two things, or another dialect's: refused with what to write instead.

A schedule that is read wrongly says nothing for years: `30m` as thirty months is due in 2029.
"""

import re

MOST_MONTHS = 24
_MINUTES = re.compile(r"(?:every )?(?P<count>[0-9]+) ?(?:m|min|mins|minute|minutes)", re.ASCII)
_MONTHS = re.compile(r"(?P<count>[0-9]+) ?M", re.ASCII)
_SECONDS = re.compile(r"(?:every )?(?P<count>[0-9]+) ?(?:s|sec|secs|second|seconds)", re.ASCII)
_ZONE_BEHIND = re.compile(r"(?P<rest>.+) (?P<zone>(?:CRON_)?TZ=\S+)", re.ASCII | re.IGNORECASE)
_QUARTZ_FIELDS = (6, 7)


def refuse_doubtful(text: str) -> None:
    """Let a text pass that means one thing.

    Raises:
        ValueError: it may be meant otherwise; the message says what to write.
    """
    if found := _ZONE_BEHIND.fullmatch(text):
        raise ValueError(
            f"{text[:60]!r}: the time zone goes first, write {found['zone']} {found['rest']}"
        )
    if found := _MINUTES.fullmatch(text):
        count = found["count"]
        raise ValueError(
            f"{text[:40]!r}: m is a month here, write PT{count}M for minutes "
            f"or P{count}M for months"
        )
    if found := _MONTHS.fullmatch(text):
        _check_months(text, int(found["count"]))
    if found := _SECONDS.fullmatch(text):
        raise ValueError(f"{text[:40]!r}: for seconds write PT{found['count']}S, at least PT60S")
    if len(text.split()) in _QUARTZ_FIELDS and re.fullmatch(r"[\w*?/,#\- ]+", text):
        raise ValueError(
            f"{text[:60]!r} has more than the five fields of cron; use minute, hour, day of month, "
            "month, day of week, and leave seconds and years out"
        )


def _check_months(text: str, count: int) -> None:
    if count > MOST_MONTHS:
        raise ValueError(
            f"{text[:40]!r} would be {count} months; write P{count}M if that is meant, "
            f"PT{count}M for minutes"
        )
