"""`understudy token` and `understudy keys`: credentials of callers, and keys that sign bundles."""

import json
import sys
from typing import Annotated

import typer

from shared.errors import SettingsError
from shared.keys.store import KeyStore
from shared.keys.tokens import (
    API_ROLES,
    Role,
    ensure_named_token,
    ensure_tokens,
    read_token,
    revoke_named_token,
    token_path,
)
from understudy.commands.options import AsJson
from understudy.settings import load_settings
from understudy.terminal import DataTable, console

keys = typer.Typer(no_args_is_help=False, rich_markup_mode="markdown")
_MEANING = {
    "signing": "signs candidates now, and is trusted",
    "trusted": "does not sign any more; bundles it signed may still be pushed",
    "retired": "may not push; versions accepted under it still load",
}


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(token)
    app.add_typer(keys, name="keys")


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


@keys.callback(invoke_without_command=True)
def show_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """List the keys that sign bundles; `rotate` and `retire` change them.

    To replace a key: `rotate`, wait until no run signed with the old one is under way, then
    `retire` the old one. The API follows on its own: no restart, and no push is refused.

    **Examples**

        understudy keys

        understudy keys list --json

        understudy keys rotate

        understudy keys retire 1f0c9d2be4a7c6d3
    """
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


@keys.command(name="list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys and what each may do.

    **Examples**

        understudy keys list

        understudy keys list --json
    """
    _show(as_json=as_json)


@keys.command()
def make() -> None:
    """Make every key and token that is missing, for services that get them from elsewhere.

    Services on one machine make their own at their first start. Where each service sees only the
    files that it needs, as in Kubernetes, they are made once and handed out.

    **Examples**

        understudy keys make

        KEYS_DIR=keys understudy keys make
    """
    keys_dir = load_settings().keys_dir
    signing = KeyStore(keys_dir).ensure_signing_key()
    ensure_tokens(keys_dir, API_ROLES)
    console.print(f"{signing} signs; keys and tokens are in {keys_dir}", highlight=False)


@keys.command()
def rotate() -> None:
    """Sign with a new key from now on; the old one stays trusted until it is retired.

    Run it where the scheduler keeps its keys (KEYS_DIR). The new key is trusted before anything
    is signed with it, so pushes go on as if nothing had happened.

    **Examples**

        understudy keys rotate

        docker compose exec scheduler understudy keys rotate
    """
    store = _store()
    before, now = store.signing_key_id(), store.rotate()
    console.print(f"{now} signs from now on", highlight=False)
    if before is not None:
        console.print(
            f"{before} is still trusted; when no run signed by it is under way: "
            f"understudy keys retire {before}",
            highlight=False,
            soft_wrap=True,
        )


@keys.command()
def retire(
    key: Annotated[str, typer.Argument(help="The id, from `understudy keys list`.")],
    compromised: Annotated[
        bool,
        typer.Option(
            "--compromised", help="Refuse every bundle it signed, also at the next start."
        ),
    ] = False,
) -> None:
    """Take no more pushes signed by a key.

    Versions that the API accepted under it still load, unless it is `--compromised`: then they
    do not, from the API's next start on. The live version stays live; `understudy
    revoke` rolls it back.

    **Examples**

        understudy keys retire 1f0c9d2be4a7c6d3

        understudy keys retire 1f0c9d2be4a7c6d3 --compromised
    """
    _store().retire(key, compromised=compromised)
    effect = "is not trusted any more" if compromised else "may not sign a push any more"
    console.print(f"{key} {effect}", highlight=False)


def _store() -> KeyStore:
    return KeyStore(load_settings().keys_dir)


def _show(*, as_json: bool) -> None:
    store = _store()
    states = dict.fromkeys(store.retired_keys(), "retired")
    states |= dict.fromkeys(store.trusted_keys(), "trusted")
    signing = store.signing_key_id()
    if signing is not None:
        states[signing] = "signing"
    if as_json:
        sys.stdout.write(json.dumps([{"key": k, "state": s} for k, s in states.items()]) + "\n")
        return
    table = DataTable("key", "state", "meaning")
    for key, state in states.items():
        table.add_row(key, state, _MEANING[state])
    console.print(table if states else "no keys yet; the scheduler makes one when it starts")
