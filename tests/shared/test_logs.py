from shared.logs import mask_secrets


def masked(**event: object) -> dict[str, object]:
    return dict(mask_secrets(None, "info", event))


def test_values_under_secret_names_never_reach_a_log() -> None:
    event = masked(push_token="abc", Authorization="Bearer abc", password="abc", step="train")
    assert "abc" not in str(event)
    assert event["step"] == "train"


def test_credentials_inside_a_url_are_masked() -> None:
    assert "hunter2" not in str(masked(url="postgresql://user:hunter2@db/understudy"))


def test_a_value_cannot_forge_a_second_line() -> None:
    event = masked(reason="ok\r\n2026-01-01 promoted \x1b[31m\u2028x")
    assert not any(c in str(event["reason"]) for c in "\r\n\x1b\u2028")
