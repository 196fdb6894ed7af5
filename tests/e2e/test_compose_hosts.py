"""Several hosts as docs/operations/hosts.md starts them: one dies, and its users are answered."""

import csv
import io
import json
import os
import secrets
from collections.abc import Iterator

import httpx
import pytest

from benchmarks.services import free_port
from tests.support.compose import ComposeStack, require_engine
from tests.support.pages import commands_of

pytestmark = pytest.mark.compose

FILE = "deploy/compose/hosts.yml"
SECRETS = (
    "POSTGRES_PASSWORD", "REPLICATION_PASSWORD", "STORE_ACCESS_KEY_ID", "STORE_SECRET_ACCESS_KEY",
)  # fmt: skip
HOSTS = ("api-1", "api-2")
# Seeding 180 days and training the first model on two cores that others use as well
FIRST_PROMOTION_SECONDS = 1_200
USERS = 40
WELL = {
    **dict.fromkeys(
        (
            "api-1", "api-2", "console", "postgres-a", "postgres-b", "scheduler-1", "scheduler-2",
            "seaweedfs",
        ),
        "healthy",
    ),
    "haproxy": "running 0",
    "keys": "exited 0",
}  # fmt: skip
ASK = (
    "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/current_model', "
    "timeout=5).read().decode())"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[ComposeStack]:
    require_engine()
    environment = {
        **{name: secrets.token_hex(24) for name in SECRETS},
        "COMPOSE_PROJECT_NAME": "understudy-hosts-test",
        "API_PORT": str(free_port()),
        "STATS_PORT": str(free_port()),
        "CONSOLE_PORT": str(free_port()),
        "TORCH_INDEX": os.environ.get("TORCH_INDEX", ""),
    }
    found = ComposeStack(FILE, environment)
    found.run("down", "--volumes", "--remove-orphans", check=False)
    try:
        for command in command_of("config"), command_of("up"):
            found.type_in(command)
        yield found
    finally:
        found.run("down", "--volumes", "--remove-orphans", "--rmi", "local", check=False)


def command_of(verb: str) -> str:
    """The command of the page with this verb of `docker compose`."""
    (found,) = (
        one.text
        for one in commands_of("docs/operations/hosts.md")
        if one.text.startswith(f"docker compose -f {FILE} {verb}")
    )
    return found


def versions(stack: ComposeStack) -> set[str] | None:
    """The live versions of the API hosts, each asked in its container; None: one has none."""
    found = set()
    for host in HOSTS:
        answer = stack.run("exec", "-T", host, "python", "-c", f'"{ASK}"', check=False)
        if not answer:
            return None
        found.add(str(json.loads(answer)["version"]))
    return found


def one_version(stack: ComposeStack) -> str | None:
    """The version that both hosts serve, once they do."""
    found = versions(stack)
    return found.pop() if found is not None and len(found) == 1 else None


def ready_version(stack: ComposeStack) -> str | None:
    """The version that both hosts serve, once HAProxy sends rows to both.

    A host that has a model is ready some checks before HAProxy counts it as up. Until then its
    users are answered by the other one, or by none.
    """
    found = one_version(stack)
    return found if up_hosts(stack) == set(HOSTS) else None


def up_hosts(stack: ComposeStack) -> set[str]:
    """Hosts that HAProxy sends rows to; none before it listens."""
    try:
        page = httpx.get(
            f"http://127.0.0.1:{stack.environment['STATS_PORT']}/;csv", timeout=10
        ).text
    except httpx.TransportError:
        return set()
    rows = csv.DictReader(io.StringIO(page.removeprefix("# ")))
    return {
        row["svname"]
        for row in rows
        if row["pxname"] == "scoring" and row["svname"] in HOSTS and row["status"] == "UP"
    }


def score(stack: ComposeStack, user: str, transaction: str) -> httpx.Response:
    """The answer to a row, which is sent once more where it gets none."""
    body = {"user_id": user, "transaction_id": transaction, "amount": 42.5}
    url = f"http://127.0.0.1:{stack.environment['API_PORT']}/predict"
    for _ in range(2):
        answer = httpx.post(url, json=body, timeout=30)
        if answer.status_code == 200:
            break
    assert answer.status_code == 200, answer.text
    return answer


def score_users(stack: ComposeStack, run: str) -> dict[str, str]:
    """The host of each user, all of them answered by the same version."""
    answers = {
        f"u{number}": score(stack, f"u{number}", f"{run}-{number}") for number in range(USERS)
    }
    assert len({answer.headers["X-Model-Version"] for answer in answers.values()}) == 1
    return {user: answer.headers["X-Api-Host"] for user, answer in answers.items()}


def sql(stack: ComposeStack, server: str, query: str) -> str:
    return stack.run(
        "exec", "-T", server, f'psql -h /tmp -U postgres -d understudy -tAc "{query}"'
    ).strip()


def test_hosts_serve_one_version_and_the_users_of_one_that_dies_are_answered(
    stack: ComposeStack,
) -> None:
    version = stack.wait_for(
        "one version on both hosts", FIRST_PROMOTION_SECONDS, lambda: ready_version(stack)
    )
    owners = score_users(stack, "before")
    assert set(owners.values()) == set(HOSTS)
    again = score(stack, "u0", "before-0")
    assert again.headers["X-Model-Version"] == version

    stack.type_in(command_of("kill"))
    assert set(score_users(stack, "without").values()) == {"api-2"}
    # an answer that the dead host gave is on the other one's disk as well
    lost = next(user for user, host in owners.items() if host == "api-1")
    repeated = score(stack, lost, f"before-{lost.removeprefix('u')}")
    assert repeated.headers["X-Api-Host"] == "api-2"

    stack.type_in(command_of("start"))
    assert stack.wait_for("both hosts", 180, lambda: ready_version(stack)) == version
    assert score_users(stack, "after") == owners


def test_every_decision_is_on_both_databases_and_all_services_are_well(
    stack: ComposeStack,
) -> None:
    stack.wait_for("both hosts", FIRST_PROMOTION_SECONDS, lambda: ready_version(stack))
    score(stack, "u1", "on-both")
    count = "SELECT count(*) FROM apitransactionlogs WHERE transaction_id = 'on-both'"
    for server in ("postgres-a", "postgres-b"):
        assert sql(stack, server, count) == "1"
    assert sql(stack, "postgres-b", "SELECT pg_is_in_recovery()") == "t"
    stack.wait_for("all well", 180, lambda: stack.states() == WELL or None)
    console = httpx.get(f"http://127.0.0.1:{stack.environment['CONSOLE_PORT']}/livez", timeout=10)
    assert console.status_code == 200
