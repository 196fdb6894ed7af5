"""What the command line reads from the environment; the services read their own."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SettingsError
from shared.local_paths import AbsolutePath
from shared.outbound import Address, own_api
from shared.tables.url import DatabaseUrl


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    database_url: DatabaseUrl = SecretStr("sqlite:///var/understudy.db")
    keys_dir: AbsolutePath = Path("var/keys")
    api_url: Address = Field(default_factory=own_api, validate_default=True)
    api_host: str = "127.0.0.1"
    api_port: int = 8000
    retrained_models_dir: AbsolutePath = Path("retrained_models")
    logs_dir: AbsolutePath = Path("var/logs")
    seed_empty_database: bool = True


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: names the variable and what it wants.
    """
    try:
        return Settings()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = [f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in found]
        raise SettingsError("; ".join(told)) from error
