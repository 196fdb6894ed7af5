"""Use cases: one folder each, found by name."""

import importlib
import importlib.util
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from shared.errors import SettingsError
from shared.tables.transaction_store import TRANSACTIONS
from shared.tasks import Task
from shared.usecase.policy import PromotionPolicy
from shared.usecase.rows import OutcomeRows, RowStore
from shared.usecase.serving import ServingUseCase

if TYPE_CHECKING:
    from shared.usecase.learning import LearningUseCase

DEFAULT = "fraud"
_ENTITY_COLUMN = "user_id"
"""The entity column of the built-in log of transactions."""
DECLARATION = "usecase.toml"
_MADE_OF_DECLARATIONS = "declared"
"""A folder with both halves that is not a use case itself."""


def load_serving(name: str) -> ServingUseCase:
    """The serving half of a use case: its own module, or one made from its declaration.

    Raises:
        SettingsError: there is no such folder, or its usecase.toml is invalid.
    """
    folder = declared_folder(name)
    if folder is None:
        return cast(ServingUseCase, _load(name, "serving"))
    from usecases.declared.serving import serving_of  # noqa: PLC0415 - fraud needs none of it

    return cast(ServingUseCase, serving_of(folder))


def load_learning(name: str) -> "LearningUseCase":
    """The learning half of a use case; imports training libraries.

    Raises:
        SettingsError: there is no such folder, or its usecase.toml says something impossible.
    """
    folder = declared_folder(name)
    if folder is None:
        return cast("LearningUseCase", _load(name, "learning"))
    from usecases.declared.learning import learning_of  # noqa: PLC0415 - imports training libraries

    return cast("LearningUseCase", learning_of(folder))


def row_store(name: str) -> RowStore:
    """The row store of a use case; imports neither scoring nor training code.

    Raises:
        SettingsError: its usecase.toml is invalid.
    """
    folder = declared_folder(name)
    if folder is None:
        return TRANSACTIONS
    from shared.rows.declaration import read_declaration  # noqa: PLC0415 - fraud needs none of it
    from shared.rows.row_store import DeclaredRowStore  # noqa: PLC0415

    return DeclaredRowStore(read_declaration(folder / DECLARATION).row_schema)


def outcome_rows(name: str) -> OutcomeRows:
    """The served rows of a use case and their truth; imports neither scoring nor training code.

    Raises:
        SettingsError: its usecase.toml is invalid.
    """
    table = row_store(name).decided(quarantined=False)
    folder = declared_folder(name)
    if folder is None:
        policy = promotion_policy(name)
        return OutcomeRows(
            table, _ENTITY_COLUMN, Task.binary(), policy.primary_metric if policy else ""
        )
    from shared.rows.declaration import read_declaration  # noqa: PLC0415 - fraud needs none of it

    declared = read_declaration(folder / DECLARATION)
    entity = "entity" if declared.row_schema.roles.entity else None
    return OutcomeRows(table, entity, declared.row_schema.task, declared.metric)


def declared_folder(name: str) -> Path | None:
    """The folder of a use case that is declared only; None where it has its own modules."""
    if not name.isidentifier():
        return None
    folder = Path(__file__).parent / name
    is_declared = (folder / DECLARATION).is_file() and not (folder / "serving.py").is_file()
    return folder if is_declared else None


def is_simulated(name: str) -> bool:
    """True if the simulator's transactions are rows of this use case: fraud, or a copy of it."""
    return row_store(name) is TRANSACTIONS


def check_learning(name: str) -> None:
    """Checks that the use case exists, without importing its dependencies.

    Raises:
        SettingsError: there is no such folder.
    """
    if declared_folder(name) is not None:
        return
    module_name = f"usecases.{name}.learning"
    try:
        found = importlib.util.find_spec(module_name)
    except ModuleNotFoundError:
        found = None
    if found is None or name == _MADE_OF_DECLARATIONS:
        raise SettingsError(_no_use_case(name, module_name))


def checked_policy(name: str) -> PromotionPolicy:
    """A use case's promotion policy, read as strictly as its learning half reads it.

    Training libraries are imported only where the use case has no module `training.policy` with a
    `read_policy()`.

    Raises:
        SettingsError: there is no such folder, or its policy cannot be used; names the setting.
    """
    folder = declared_folder(name)
    if folder is not None:
        from shared.rows.declaration import read_declaration  # noqa: PLC0415 - fraud needs none
        from usecases.declared import policy  # noqa: PLC0415 - fraud needs none of it

        return policy.promotion_policy(read_declaration(folder / DECLARATION))
    check_learning(name)
    try:
        module = importlib.import_module(f"usecases.{name}.training.policy")
    except ModuleNotFoundError:
        return load_learning(name).policy
    read: PromotionPolicy = module.read_policy().promotion
    return read


def promotion_policy(name: str) -> "PromotionPolicy | None":
    """A use case's promotion policy, without importing its learning code.

    None: it has no such file, or no such table; the learning half reads it strictly.
    """
    path = Path(__file__).parent / name / "policy.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))["promotion"]
        return PromotionPolicy(**table)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValidationError):
        return None


def _no_use_case(name: str, module_name: str) -> str:
    return (
        f"USE_CASE={name!r}: there is no module {module_name} and no "
        f"usecases/{name}/{DECLARATION}; `understudy new {name}` makes one"
    )


def _load(name: str, half: str) -> object:
    module_name = f"usecases.{name}.{half}"
    if name == _MADE_OF_DECLARATIONS:
        raise SettingsError(_no_use_case(name, module_name))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(f"usecases.{name}"):
            raise
        raise SettingsError(_no_use_case(name, module_name)) from error
    use_case: object = module.use_case()
    return use_case
