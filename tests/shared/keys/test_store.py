import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.keys.store import KeyStore, sign, verify
from shared.keys.tokens import API_ROLES, Role, ensure_tokens, read_token, token_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_key_that_is_trusted_and_private(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    key = store.ensure_signing_key()
    assert verify(b"x", sign(b"x", store.private_key()), store.trusted_keys()) == key
    assert mode(tmp_path / "signing" / "ed25519.pem") == 0o600


def test_a_second_start_keeps_the_key(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    assert store.ensure_signing_key() == store.ensure_signing_key()


def test_services_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: KeyStore(tmp_path).ensure_signing_key(), range(8)))
    assert len(keys) == 1
    assert keys == set(KeyStore(tmp_path).trusted_keys())


def test_a_missing_or_foreign_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="KEYS_DIR"):
        KeyStore(tmp_path).private_key()
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "odd.pub").write_text("not a key")
    with pytest.raises(SettingsError, match=r"odd\.pub"):
        KeyStore(tmp_path).trusted_keys()


def test_each_role_has_a_token_of_its_own_that_stays_and_is_private(tmp_path: Path) -> None:
    ensure_tokens(tmp_path, API_ROLES)
    tokens = {role: read_token(tmp_path, role) for role in API_ROLES}
    ensure_tokens(tmp_path, API_ROLES)
    assert {role: read_token(tmp_path, role) for role in API_ROLES} == tokens
    assert len(set(tokens.values())) == len(API_ROLES)
    assert all(mode(token_path(tmp_path, role)) == 0o600 for role in API_ROLES)


def test_a_missing_or_empty_token_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"operator\.token"):
        read_token(tmp_path, Role.OPERATOR)
    token_path(tmp_path, Role.OPERATOR).parent.mkdir(parents=True)
    token_path(tmp_path, Role.OPERATOR).write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        read_token(tmp_path, Role.OPERATOR)
