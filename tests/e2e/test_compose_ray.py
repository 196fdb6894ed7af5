"""Training on Ray as deploy/compose/README.md starts it, with a worker that is killed in a run."""

import json
import os
import re
import threading
from collections.abc import Iterator

import httpx
import pytest

from benchmarks.services import free_port
from tests.support.compose import ComposeStack, require_engine
from tests.support.pages import commands_of

pytestmark = pytest.mark.cluster

FILE = "deploy/compose/ray.yml"
PAGE = "deploy/compose/README.md"
WORKERS = {"ray-worker-1": "10.213.77.3", "ray-worker-2": "10.213.77.4"}
# Seeding 180 days and training the first model on two cores that others use as well
FIRST_PROMOTION_SECONDS = 1_200
RUN_SECONDS = 900
CONNECT = "import ray; ray.init('ray://10.213.77.2:10001'); print('connected')"
WITHOUT_CERTIFICATE = """
import socket, ssl
context = ssl.create_default_context(cafile="/ray/ca.crt")
plain = socket.create_connection(("10.213.77.2", 10001), 20)
connection = context.wrap_socket(plain, server_hostname="10.213.77.2")
connection.send(b"PRI * HTTP/2.0")
print("answered:", connection.recv(9))
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[ComposeStack]:
    require_engine()
    environment = {
        "COMPOSE_PROJECT_NAME": "understudy-ray-test",
        "API_PORT": str(free_port()),
        "CONSOLE_PORT": str(free_port()),
        "LOG_FORMAT": "json",
        "TORCH_INDEX": os.environ.get("TORCH_INDEX", ""),
    }
    found = ComposeStack(FILE, environment)
    found.run("down", "--volumes", "--remove-orphans", check=False)
    try:
        found.type_in(command_of("up"))
        yield found
    finally:
        found.type_in(command_of("down"), check=False)
        found.run("down", "--volumes", "--remove-orphans", "--rmi", "local", check=False)


def command_of(verb: str) -> str:
    """The only command of the page that begins with this verb of `docker compose`."""
    begin = f"docker compose -f {FILE} {verb}"
    (found,) = (one.text for one in commands_of(PAGE) if one.text.startswith(begin))
    return found


def version(stack: ComposeStack) -> str | None:
    url = f"http://127.0.0.1:{stack.environment['API_PORT']}/current_model"
    try:
        answer = httpx.get(url, timeout=5)
    except httpx.HTTPError:
        return None
    return str(answer.json()["version"]) if answer.status_code == 200 else None


def nodes_of_tasks(stack: ComposeStack) -> list[dict[str, int]]:
    """Of each `map` of the runs so far: how many tasks ended on which node."""
    shown = stack.type_in(command_of("logs scheduler | grep"), check=False)
    lines = [line[line.index("{") :] for line in shown.splitlines() if "{" in line]
    return [dict(json.loads(line)["nodes"]) for line in lines]


def busy_worker(stack: ComposeStack) -> str | None:
    """A worker in which a task runs now: Ray writes its name into the title of the process."""
    return next((name for name in WORKERS if "carry_out" in stack.run("top", name)), None)


def test_a_model_is_trained_on_the_workers_and_a_killed_one_costs_no_run(
    stack: ComposeStack,
) -> None:
    stack.wait_for("a first promotion", FIRST_PROMOTION_SECONDS, lambda: version(stack))
    before = nodes_of_tasks(stack)
    assert before
    assert {node for nodes in before for node in nodes} <= set(WORKERS.values())
    runs = command_of("exec -T scheduler understudy runs")
    # a run goes on for a while after its promotion: it writes the candidate's page
    stack.wait_for("its end", RUN_SECONDS, lambda: "SUCCEEDED" in stack.type_in(runs) or None)

    # with the same rows, the training of the first run would be taken again
    stack.run("exec", "-T", "scheduler", "rm", "-rf", "/data/work/train")
    said: list[str] = []
    retrain = threading.Thread(
        # its exit status says whether it was promoted, which is not what this is about
        target=lambda: said.append(
            stack.type_in(command_of("exec -T api understudy retrain"), check=False)
        )
    )
    retrain.start()
    victim = stack.wait_for(
        "a task on a worker",
        RUN_SECONDS,
        lambda: busy_worker(stack) or (None if retrain.is_alive() else "none"),
    )
    assert victim in WORKERS, f"no task was seen on a worker before the run ended: {said}"
    stack.type_in(command_of("kill").replace("ray-worker-1", victim))
    retrain.join(RUN_SECONDS)
    assert said
    assert re.search("SUCCEEDED|REFUSED", said[0]), said[0]
    after = nodes_of_tasks(stack)[len(before) :]
    assert after
    assert WORKERS[victim] not in after[0]
    stack.type_in(command_of("start").replace("ray-worker-1", victim))


def program(stack: ComposeStack, text: str, *environment: str) -> str:
    """Output and errors of a program in the scheduler's container."""
    run = f"docker compose -f {FILE} exec -T scheduler env {' '.join(environment)}"
    return stack.type_in(f"{run} timeout 300 python - 2>&1 <<'END'\n{text}\nEND", check=False)


def test_the_cluster_takes_no_caller_without_its_token_or_a_certificate(
    stack: ComposeStack,
) -> None:
    assert "connected" in program(stack, CONNECT).splitlines()
    # a wrong token is not said to be one: the connection comes to nothing
    said = program(stack, CONNECT, "RAY_AUTH_TOKEN_PATH=", f"RAY_AUTH_TOKEN={'0' * 64}")
    assert "connected" not in said.splitlines()
    assert "ConnectionError" in said
    said = program(stack, WITHOUT_CERTIFICATE)
    assert "certificate required" in said.lower() or "answered: b''" in said, said


def test_all_services_are_well_and_those_that_make_things_have_ended(stack: ComposeStack) -> None:
    stack.wait_for("a first promotion", FIRST_PROMOTION_SECONDS, lambda: version(stack))
    states = stack.states()
    assert (states.pop("ray-secrets"), states.pop("scheduler-image")) == ("exited 0", "exited 0")
    assert all(states.pop(worker) == "running 0" for worker in WORKERS)
    assert set(states) == {"api", "console", "ray-head", "scheduler"}
    assert set(states.values()) == {"healthy"}, states
