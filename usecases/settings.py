"""The setting that names the use case."""

from pydantic import Field

import usecases
from shared.settings import SettingGroup


class UseCaseSettings(SettingGroup):
    """Use case."""

    use_case: str = Field(
        default=usecases.DEFAULT,
        description="Use case that is served and trained: the name of a folder below usecases/.",
    )
