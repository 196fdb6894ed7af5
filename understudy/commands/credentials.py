"""`understudy token`: what opens which door."""

import sys
from typing import Annotated

import typer

from shared.keys.tokens import Role, read_token
from understudy.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(token)


def token(
    role: Annotated[Role, typer.Argument(help="Whose token; the API makes them all at start.")],
) -> None:
    """Print the token of a role, for use with curl.

    The trigger token is the password of the user `operator`; the others are Bearer tokens.

    **Examples**

        understudy token operator

        curl -u operator:$(understudy token trigger) -X POST $API/api/mlops/trigger-retraining

        curl -H "Authorization: Bearer $(understudy token operator)" $API/rollback_model ...
    """
    sys.stdout.write(read_token(load_settings().keys_dir, role) + "\n")
