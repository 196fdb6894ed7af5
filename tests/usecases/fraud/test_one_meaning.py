"""A text means the same at every door: one Unicode form, joiners and emoji in it, no controls."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.clock import to_micros
from shared.contracts.feedback import LabelIn
from shared.importing.texts import read_texts
from shared.transaction import BLANKS
from usecases.fraud.requests import TransactionRequest, to_transaction

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def test_two_spellings_of_one_name_are_one_user() -> None:
    users = {
        to_transaction(TransactionRequest(amount=1, user_id=name), NOW_US).user_id
        for name in ("Cafe\u0301", "Caf\u00e9")
    }
    assert users == {"Caf\u00e9"}


def test_a_label_finds_the_id_in_either_spelling() -> None:
    assert LabelIn(transaction_id="Cafe\u0301", label=1).transaction_id == "Caf\u00e9"


@given(st.sampled_from(sorted(BLANKS.translate({9: None, 10: None, 11: None, 12: None, 13: None}))))
def test_blanks_around_a_text_are_no_part_of_it_in_json_and_in_files(blank: str) -> None:
    padded = f"{blank}t 1{blank}{blank}"
    in_json = TransactionRequest(amount=1, transaction_id=padded, merchant_category=padded)
    label = LabelIn(transaction_id=padded, label=1)
    in_file = read_texts(pl.Series([padded]), is_identifier=True, is_numeric=False)[0]
    found = {in_json.transaction_id, in_json.merchant_category, label.transaction_id, in_file}
    assert found == {"t 1"}


def test_joiners_and_emoji_are_text() -> None:
    request = TransactionRequest(amount=1, merchant_id=FAMILY)
    assert to_transaction(request, NOW_US).merchant_id == FAMILY


@pytest.mark.parametrize("name", ["a\x00", "a\n", "\x1b[1m", "a\x85", "", " ", "\u3000"])
def test_control_characters_and_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TransactionRequest(amount=1, user_id=name)
    with pytest.raises(ValidationError):
        LabelIn(transaction_id=name, label=1)


def test_what_the_gate_would_refuse_is_refused_at_the_door() -> None:
    old = TransactionRequest(amount=1, event_time=datetime(1999, 12, 31, tzinfo=UTC).isoformat())
    with pytest.raises(ValueError, match="before 2000"):
        to_transaction(old, NOW_US)
