"""Not one byte of a push is parsed before its signature held: counted by the interpreter."""

import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from tests.api.attacks.archives import good
from tests.api.attacks.parse_watch import ParseWatch
from tests.api.attacks.pushes import bodies, credentials, signatures
from tests.api.attacks.target import prepared
from tests.api.bundles import Signer
from tests.api.server import serve_settings


@pytest.fixture
def watch() -> Iterator[ParseWatch]:
    watch = ParseWatch()
    watch.install()
    yield watch
    watch.remove()


def test_nothing_is_parsed_before_the_signature_held(
    watch: ParseWatch, template: Path, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    with prepared(serve_settings(tmp_path), Signer(tmp_path / "keys")) as target:
        watch.active = True
        attacks = [*credentials(), *signatures(), *bodies()]
        for attack in attacks:
            if not attack.name.startswith("score"):
                with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
                    attack.attempt(target)
        assert (watch.before, watch.calls_before, watch.after) == (0, 0, 0)
        # the same bundle, rightly signed: now it is read
        assert target.push(good()).status_code == 200
        watch.active = False
    assert (watch.before, watch.calls_before) == (0, 0)
    assert watch.after >= len(good())


def test_the_watch_would_have_seen_it(watch: ParseWatch) -> None:
    watch.active = True
    thread = threading.Thread(target=lambda: zipfile.ZipFile(BytesIO(good())), name="server")
    thread.start()
    thread.join()
    assert watch.calls_before > 0
