"""What the interpreter itself reports while a service is attacked: an audit hook inside it."""

import json
import pickle
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.bundle.archive import pack
from shared.keys.tokens import Role, read_token
from tests.api.attacks.archives import with_graph, with_raw_manifest
from tests.api.attacks.pushes import Loot
from tests.api.bundles import Signer, manifest

ROOT = Path(__file__).parents[3]
PERSON = "Jane-Doe-4711"


@dataclass(frozen=True, slots=True)
class Watched:
    """A service in a separate process, and what was seen of it."""

    url: str
    folder: Path

    def post(self, path: str, role: Role, **options: Any) -> httpx.Response:
        token = read_token(self.folder / "keys", role)
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return httpx.post(self.url + path, headers=headers, timeout=20, **options)

    def bundle(self, version: str) -> bytes:
        return Signer(self.folder / "keys").bundle(version)

    def push(self, raw: bytes) -> httpx.Response:
        signature = Signer(self.folder / "keys").sign(raw)
        headers = {"X-Bundle-Signature": signature}
        return self.post("/update_model", Role.PUSH, content=raw, headers=headers)

    def events(self, name: str) -> list[list[str]]:
        lines = map(json.loads, (self.folder / "events.jsonl").read_text().splitlines())
        return [line["arguments"] for line in lines if line["event"] == name]

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "api.log").read_text().splitlines()]


@pytest.fixture(scope="module")
def watched(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.api.attacks.watched_server", str(folder)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = next(line.strip() for line in process.stdout if line.startswith("http://"))
        try:
            yield Watched(url, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def test_with_the_pickle_flavour_off_nothing_is_ever_unpickled(watched: Watched) -> None:
    loot = pickle.dumps(Loot())
    flavoured = pack(manifest("1.0.9", flavour="cloudpickle"), {"model.pkl": loot})
    for raw in (loot, with_graph(loot), with_raw_manifest(loot), flavoured):
        assert watched.push(raw).status_code == 422
    body = {"content": loot, "headers": {"Content-Type": "application/json"}}
    for path in ("/score", "/score/batch"):
        assert watched.post(path, Role.SCORER, **body).status_code == 422
    assert watched.post("/feedback", Role.FEEDBACK, **body).status_code == 422
    for path in ("/rollback_model", "/revoke_model"):
        assert watched.post(path, Role.OPERATOR, **body).status_code == 422
    # ordinary work with everything that reads files and databases
    assert watched.push(watched.bundle("1.0.1")).status_code == 200
    assert watched.post("/score", Role.SCORER, json={"amount": 1.0}).status_code == 200
    assert watched.post("/rollback_model", Role.OPERATOR, json={"reason": "test"}).is_success
    assert watched.events("pickle.find_class") == []
    assert watched.events("os.system") == []
    # one for each smoke test and one that drains: our own modules and nothing else
    commands = {command.split("', '")[2] for _, command, *_ in watched.events("subprocess.Popen")}
    assert commands <= {"api.smoke", "api.journal.subprocess_writer"}


def test_the_hook_would_have_seen_it(tmp_path: Path) -> None:
    code = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "from tests.api.attacks.hook import watch\n"
        "watch(Path(sys.argv[1]))\n"
        "pickle.loads(bytes.fromhex(sys.argv[2]))\n"
    )
    arguments = [str(tmp_path / "events.jsonl"), pickle.dumps(Loot()).hex()]
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=True)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    seen = [json.loads(line)["event"] for line in lines]
    assert {"pickle.find_class", "os.system"} <= set(seen)


def test_no_webhook_makes_the_service_call_anybody(watched: Watched) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/latest/meta-data"
        alert = {
            "status": "firing",
            "labels": {"alertname": "x", "model_version": "1.0.0", "callback": url},
            "annotations": {"summary": url, "runbook_url": url},
            "generatorURL": url,
        }
        group = {"version": "4", "externalURL": url, "receiver": url, "alerts": [alert]}
        assert watched.post("/alert", Role.ALERT, json=group).status_code == 200
        said = {"reason": url, "version": "1.0.0"}
        watched.post("/rollback_model", Role.OPERATOR, json=said)
        watched.post("/api/mlops/trigger-retraining?url=" + url, Role.TRIGGER)
        watched.post("/score", Role.SCORER, json={"amount": 1.0, "user_id": url})
        with pytest.raises(TimeoutError):
            listener.accept()
    assert watched.events("socket.connect") == []


def test_whatever_is_said_a_log_stays_one_line_an_event_and_shows_nobody(
    watched: Watched,
) -> None:
    forged = 'x\r\n{"event": "promoted", "version": "6.6.6"}\n\x1b[2J\u2028y'
    row = {"amount": 1.0, "user_id": PERSON, "transaction_id": f"t\n{forged}"}
    assert watched.post("/score", Role.SCORER, json=row).status_code == 200
    watched.post("/score", Role.SCORER, json={"amount": PERSON, "user_id": PERSON})
    watched.post("/feedback", Role.FEEDBACK, json={"labels": [{"transaction_id": PERSON}]})
    watched.push(watched.bundle("1.0.2"))
    watched.post("/rollback_model", Role.OPERATOR, json={"reason": forged})
    httpx.get(watched.url + "/models", headers={"Authorization": "Bearer s3cret-s3cret"})
    httpx.post(watched.url + "/rollback_model", headers={"Authorization": "Bearer s3cret-s3cret"})
    told = watched.log()
    assert {"rolled_back", "credentials_refused"} <= {line["event"] for line in told}
    assert not any(line.get("version") == "6.6.6" for line in told)
    raw = (watched.folder / "api.log").read_text()
    tokens = {read_token(watched.folder / "keys", role) for role in Role}
    assert not any(secret in raw for secret in (PERSON, "s3cret", "\x1b", "\u2028", *tokens))
    audit = (watched.folder / "prod_models" / "audit.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in audit]
    assert [line["what"] for line in lines][-2:] == ["promotion", "rollback"]
    assert lines[-1]["why"] == forged
