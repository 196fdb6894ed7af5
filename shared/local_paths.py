"""Paths in settings: relative to the folder in which a service was started, in every process."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""A setting's type: made absolute once, so that a child in another folder means the same file."""
