"""Versions of bundles: MAJOR.MINOR.PATCH, nothing else."""

import re
from dataclasses import dataclass

# ASCII digits, no leading zeros, at most nine each: a version is also a directory name, so the
# pattern leaves no room for dots, separators, escapes or other scripts' digits.
_PATTERN = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Patch: same recipe, fresh data. Minor: new recipe. Major: new request schema."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read `1.2.3`.

        Raises:
            ValueError: the text is anything else.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is not a version of the form MAJOR.MINOR.PATCH")
        return cls(*(int(part) for part in match.groups()))

    def next_patch(self) -> "Version":
        return Version(self.major, self.minor, self.patch + 1)

    def next_minor(self) -> "Version":
        return Version(self.major, self.minor + 1, 0)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"
