import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SignatureInvalid
from shared.keys.store import key_id, sign, verify

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}


@given(st.binary())
def test_a_signature_by_a_trusted_key_holds(raw: bytes) -> None:
    assert verify(raw, sign(raw, KEY), TRUSTED) == key_id(KEY.public_key())


@given(st.binary(min_size=1), st.data())
def test_one_flipped_bit_is_enough_to_break_it(raw: bytes, data: st.DataObject) -> None:
    signature = sign(raw, KEY)
    changed = bytearray(raw)
    changed[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SignatureInvalid):
        verify(bytes(changed), signature, TRUSTED)


def test_another_key_is_not_trusted_even_under_the_trusted_name() -> None:
    forged = sign(b"bundle", OTHER).replace(key_id(OTHER.public_key()), key_id(KEY.public_key()))
    for signature in (sign(b"bundle", OTHER), forged):
        with pytest.raises(SignatureInvalid):
            verify(b"bundle", signature, TRUSTED)


@given(st.text())
def test_any_other_text_is_no_signature(text: str) -> None:
    for signature in (text, f"{key_id(KEY.public_key())}:{text}"):
        with pytest.raises(SignatureInvalid):
            verify(b"bundle", signature, TRUSTED)
