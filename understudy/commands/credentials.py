"""`understudy token`: what opens which door."""

import sys
from typing import Annotated

import typer

from shared.errors import SettingsError
from shared.keys.tokens import (
    Role,
    ensure_named_token,
    read_token,
    revoke_named_token,
    token_path,
)
from understudy.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(token)


def token(
    role: Annotated[Role, typer.Argument(help="Whose token; the API makes them all at start.")],
    name: Annotated[
        str | None,
        typer.Option(
            help="A token of this name, made if there is none: rows and labels sent with it say so."
        ),
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Remove the token of that name instead.")
    ] = False,
) -> None:
    """Print the token of a role, for use with curl.

    The trigger token is the password of the user `operator`; the others are Bearer tokens. Give
    each caller a named one: their rows can then be distinguished, and one can be shut out alone.
    The API notices named tokens within seconds, without a restart.

    **Examples**

        understudy token operator

        understudy token scorer --name shop-a

        understudy token scorer --name shop-a --revoke

        curl -u operator:$(understudy token trigger) -X POST $API/api/mlops/trigger-retraining

        curl -H "Authorization: Bearer $(understudy token operator)" $API/rollback_model ...
    """
    keys_dir = load_settings().keys_dir
    if name is None:
        if revoke:
            raise SettingsError(
                "--revoke needs --name; a role's own token is replaced by deleting "
                f"{token_path(keys_dir, role)} and restarting the API"
            )
        found = read_token(keys_dir, role)
    elif revoke:
        revoke_named_token(keys_dir, role, name)
        found = f"{name} is not a {role} any more"
    else:
        found = ensure_named_token(keys_dir, role, name)
    sys.stdout.write(found + "\n")
