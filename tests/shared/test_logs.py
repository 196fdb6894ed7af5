import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import create_engine, text

from shared.logs import mask_secrets, mask_text
from shared.transaction import Transaction

ROOT = Path(__file__).parents[2]
PERSONAL = ("user_id", "user_ids", "device_id", "lat", "lon", "home_lat", "home_lon", "email")


class Row(BaseModel):
    user_id: int


def masked(**event: object) -> dict[str, object]:
    return dict(mask_secrets(None, "info", event))


def test_values_under_secret_names_never_reach_a_log() -> None:
    event = masked(push_token="abc", Authorization="Bearer abc", password="abc", step="train")
    assert "abc" not in str(event)
    assert event["step"] == "train"


@pytest.mark.parametrize("name", PERSONAL)
def test_values_under_personal_names_never_reach_a_log(name: str) -> None:
    event = masked(**{name: "4711", "row": {name: "4711"}, "rows": [{name: "4711"}]})
    assert "4711" not in str(event)


def test_names_that_only_sound_alike_stay_readable() -> None:
    event = masked(latency_ms=3, model_version="1.0.0", transaction_id="t-1", translation="x")
    assert event == {
        "latency_ms": 3, "model_version": "1.0.0", "transaction_id": "t-1", "translation": "x",
    }  # fmt: skip


def test_credentials_inside_a_url_or_a_header_are_masked() -> None:
    assert "hunter2" not in str(masked(url="postgresql://user:hunter2@db/understudy"))
    assert "hunter2" not in str(masked(url="redis://:hunter2@db"))
    assert "aHVudGVyMg" not in str(masked(reason="sent Authorization: Basic aHVudGVyMg=="))


def test_an_error_that_is_logged_as_an_object_is_masked_too() -> None:
    error = ValueError("cannot reach postgresql://user:hunter2@db\nforged line")
    told = str(masked(error=error)["error"])
    assert "hunter2" not in told
    assert "\n" not in told


def test_what_pydantic_repeats_of_a_row_is_masked() -> None:
    with pytest.raises(ValidationError) as caught:
        Row.model_validate({"user_id": "Jane Doe"})
    assert "Jane" in str(caught.value)
    assert "Jane" not in mask_text(str(caught.value))


def test_what_the_database_repeats_of_a_row_is_masked() -> None:
    with create_engine("sqlite://").connect() as connection, pytest.raises(Exception) as caught:  # noqa: PT011
        connection.execute(text("SELECT :user_id FROM nowhere"), {"user_id": "Jane Doe"})
    assert "Jane" in str(caught.value)
    told = mask_text(str(caught.value))
    assert "Jane" not in told
    assert "nowhere" in told
    postgresql = 'null value in "amount"\nDETAIL:  Failing row contains (1, Jane Doe, (3,4)).'
    assert "Jane" not in mask_text(postgresql)


def test_a_value_cannot_forge_a_second_line() -> None:
    event = masked(reason="ok\r\n2026-01-01 promoted \x1b[31m\u2028x", nested=["a\nb"])
    assert not any(c in str(event["reason"]) for c in "\r\n\x1b\u2028")
    assert event["nested"] == ["a b"]


def test_a_line_for_people_shows_what_a_terminal_would_obey(tmp_path: Path) -> None:
    code = (
        "import logging, structlog\n"
        "from shared.logs import configure_logging\n"
        "configure_logging('test', 'info', 'console')\n"
        "hostile = '[fault] \\x1b[31m\\x9b31m \\u202e'\n"
        "structlog.get_logger().info(hostile, why=hostile, deep={hostile: [hostile]})\n"
        "logging.getLogger('library').warning('%s', hostile)\n"
        "try:\n"
        "    raise ValueError(hostile)\n"
        "except ValueError:\n"
        "    structlog.get_logger().exception('failed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown = done.stdout + done.stderr
    assert shown.count("[fault]") == 6
    assert not any(character in shown for character in "\x1b\x9b\u202e")


def test_a_transaction_shows_nobody() -> None:
    shown = repr(
        Transaction(
            transaction_id="t-1", user_id="Jane", event_time_us=0, ingested_at_us=0, amount=1.0,
            currency="EUR", merchant_id="m", transaction_type="purchase", lat=48.2, lon=16.3,
            home_lat=48.1, home_lon=16.4, device_id="phone-7",
        )
    )  # fmt: skip
    assert "t-1" in shown
    assert not any(secret in shown for secret in ("Jane", "48.", "16.", "phone-7"))


def test_as_json_an_event_is_one_line_with_its_exception(tmp_path: Path) -> None:
    code = (
        "import logging, structlog\n"
        "from shared.logs import configure_logging\n"
        "configure_logging('test', 'info', 'json')\n"
        "secret = 'hunter2'\n"
        "try:\n"
        "    raise ValueError('postgresql://u:' + secret + '@db\\nforged')\n"
        "except ValueError:\n"
        "    structlog.get_logger().exception('failed', user_id=secret, why='a\\r\\nb')\n"
        "    logging.getLogger('other').exception('library\\nline')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, second = map(json.loads, done.stdout.splitlines())
    assert "hunter2" not in done.stdout
    assert (first["event"], first["user_id"], first["why"]) == ("failed", "***", "a  b")
    assert "ValueError" in first["exception"]
    assert second["event"] == "library line"


def test_masking_a_long_text_takes_no_longer_than_reading_it() -> None:
    begun = time.monotonic()
    masked(text="x" * 1_000_000, other="input_value=" * 10_000, third="a://b:" * 50_000)
    assert time.monotonic() - begun < 5


LAST_WORDS = """
import logging
from shared.logs import configure_logging

class Last:
    def __del__(self):
        logging.getLogger("last").error("bearer abcdefghijkl")

configure_logging("api")
last = Last()
"""


def test_what_is_logged_while_a_process_ends_is_masked_too() -> None:
    """As a task that is destroyed by a second Ctrl-C: nothing can be imported any more."""
    ended = subprocess.run(
        [sys.executable, "-c", LAST_WORDS], capture_output=True, text=True, timeout=120, check=True
    )
    assert "bearer ***" in ended.stdout
    assert "Traceback" not in ended.stderr
