"""Attempts on the way of a bundle: credentials, signature, order, body, contents."""

import base64
import gzip
import json
import os
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.bundle.archive import pack
from shared.keys.store import sign
from shared.keys.tokens import Role
from tests.api.attacks.archives import archives, good, manifests, with_graph, with_raw_manifest
from tests.api.attacks.attack import HUNG_UP, Attack, Target
from tests.api.attacks.graphs import VERSION, external, formats, operators
from tests.api.bundles import manifest

NO_CREDENTIALS = {(401, "no-credentials")}
WRONG_ROLE = {(403, "wrong-role")}
BAD_SIGNATURE = {(403, "bad-signature")}
MALFORMED = {(422, "bundle-malformed"), (413, "too-large")}
TOO_LARGE = {(413, "too-large"), (0, HUNG_UP)}
HEADERS_TOO_LARGE = {(431, "headers-too-large")}
Make = Callable[[Target], httpx.Response]


class Loot:
    """Runs a command when it is unpickled, which is what pickles are for."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 7",)


def _with_header(target: Target, value: str, scheme: str = "Authorization") -> httpx.Response:
    raw = good()
    headers = {scheme: value, "X-Bundle-Signature": target.signer.sign(raw)}
    return target.server.client.post("/update_model", content=raw, headers=headers)


def credentials() -> Iterator[Attack]:
    """A good bundle, rightly signed, by a caller without the push role."""

    def with_token(change: Callable[[str], str]) -> Make:
        return lambda t: _with_header(t, "Bearer " + change(t.server.token(Role.PUSH)))

    def at(path: str, **options: Any) -> Make:
        return lambda t: t.server.client.post(
            path.format(t.server.token(Role.PUSH)), content=good(), **options
        )

    yield Attack("push without a token", at("/update_model"), NO_CREDENTIALS)
    for role in (Role.SCORER, Role.READ, Role.OPERATOR, Role.ALERT, Role.TRIGGER):
        take = partial(lambda role, t: _with_header(t, f"Bearer {t.server.token(role)}"), role)
        yield Attack(f"push with the {role} token", take, WRONG_ROLE)
    for name, change in {
        "half of the token": lambda token: token[: len(token) // 2],
        "the token and one letter more": lambda token: token + "x",
        "the token in capitals": str.upper,
        "the token's last letter changed": lambda token: token[:-1] + chr(ord(token[-1]) ^ 1),
    }.items():
        yield Attack(f"push with {name}", with_token(change), NO_CREDENTIALS)
    long = with_token(lambda token: token * 2_000)
    yield Attack("push with a token of a hundred kilobytes", long, HEADERS_TOO_LARGE)
    nothing = lambda t: _with_header(t, "Bearer")  # noqa: E731
    yield Attack("push with an empty token", nothing, NO_CREDENTIALS)
    yield Attack("push with the token in the address", at("/update_model?token={}"), NO_CREDENTIALS)
    yield Attack(
        "push with the token as a cookie",
        lambda t: _with_header(t, f"token={t.server.token(Role.PUSH)}", "Cookie"),
        NO_CREDENTIALS,
    )
    yield Attack(
        "push with the token as a password",
        lambda t: _with_header(t, _basic(t.server.token(Role.PUSH))),
        NO_CREDENTIALS,
    )
    yield Attack(
        "push with the trigger's password",
        lambda t: _with_header(t, _basic(t.server.token(Role.TRIGGER))),
        NO_CREDENTIALS,
    )


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()


def signatures() -> Iterator[Attack]:
    """The right token, and a signature that does not hold."""

    def signed(make: Callable[[Target, bytes], str]) -> Make:
        return lambda t: t.push(good(), **{"X-Bundle-Signature": make(t, good())})

    def by_stranger_under(name: Callable[[Target, bytes], str]) -> Make:
        forged = sign(good(), Ed25519PrivateKey.generate()).partition(":")[2]
        return signed(lambda t, raw: f"{name(t, raw)}:{forged}")

    def flipped(place: int) -> Make:
        raw = bytearray(good())
        raw[place] ^= 1
        return lambda t: t.push(bytes(raw), **{"X-Bundle-Signature": t.signer.sign(good())})

    def trusted(target: Target, raw: bytes) -> str:
        return target.signer.sign(raw).partition(":")[0]

    yield Attack("push without a signature", signed(lambda *_: ""), BAD_SIGNATURE)
    stranger = signed(lambda _, raw: sign(raw, Ed25519PrivateKey.generate()))
    yield Attack("push signed by another key", stranger, BAD_SIGNATURE)
    borrowed = by_stranger_under(trusted)
    yield Attack("push signed by another key in the trusted one's name", borrowed, BAD_SIGNATURE)
    for name in ("../trust/x", "*", "", "\\x00"):
        yield Attack(
            f"push signed by a key called {name!r}",
            by_stranger_under(lambda *_, name=name: name),
            BAD_SIGNATURE,
        )
    for place in (0, len(good()) // 3, len(good()) // 2, len(good()) - 1):
        yield Attack(f"push with one bit flipped at {place}", flipped(place), BAD_SIGNATURE)
    other = signed(lambda t, raw: t.signer.sign(raw + b"x"))
    yield Attack("push with the signature of another bundle", other, BAD_SIGNATURE)
    cut = signed(lambda t, raw: t.signer.sign(raw)[:-4])
    yield Attack("push with half a signature", cut, BAD_SIGNATURE)
    long = signed(lambda t, raw: t.signer.sign(raw) + "A" * 50_000)
    yield Attack("push with an endless signature", long, HEADERS_TOO_LARGE)
    appended = lambda t: t.push(good() + b"x", **{"X-Bundle-Signature": t.signer.sign(good())})  # noqa: E731
    yield Attack("push with a byte behind what was signed", appended, BAD_SIGNATURE)


def order() -> Iterator[Attack]:
    """Rightly signed, and not the next version."""

    def bundle(version: str, **headers: str) -> Make:
        return lambda t: t.push(t.signer.bundle(version), **headers)

    conflict = {(409, "version-conflict")}
    yield Attack("push what serves once more", bundle("1.0.1"), conflict)
    yield Attack("push an older signed bundle", bundle("1.0.0"), conflict)
    yield Attack("push a version from before the first", bundle("0.9.9"), conflict)
    past = bundle(VERSION, **{"X-Fencing-Number": "6"})
    yield Attack("push with a fencing number from the past", past, {(409, "stale-fencing-number")})
    for number in ("-1", "x", "1e9", "9" * 400, "7.5"):
        said = bundle(VERSION, **{"X-Fencing-Number": number})
        name = f"push with the fencing number {number[:8]}"
        yield Attack(name, said, {(422, "invalid-request")})
    for text in ({"use_case": "huge"}, {"feature_set_version": "tiny-2"}):
        misfit = partial(lambda said, t: t.push(t.signer.bundle(VERSION, **said)), text)
        name = f"push a bundle with another {next(iter(text))}"
        yield Attack(name, misfit, {(422, "model-unusable")})
    major = lambda t: t.push(t.signer.bundle("2.0.0"))  # noqa: E731
    yield Attack("push a bundle for another request schema", major, {(422, "model-unusable")})


def bodies() -> Iterator[Attack]:
    """Bodies that are larger than they may be, or packed."""

    def endless(target: Target) -> Iterator[bytes]:
        for _ in range(2 * target.server.settings.bundle_max_bytes // 65_536):
            yield b"x" * 65_536

    def streamed(path: str, role: Role) -> Make:
        return lambda t: t.server.client.post(
            path,
            content=endless(t),
            headers={
                **t.server.bearer(role),
                "X-Bundle-Signature": "k:s",
                "Content-Type": "application/json",
            },
        )

    yield Attack("push a body that has no end", streamed("/update_model", Role.PUSH), TOO_LARGE)
    yield Attack(
        "step back with a body that has no end",
        streamed("/rollback_model", Role.OPERATOR),
        TOO_LARGE,
    )
    yield Attack("score a body that has no end", streamed("/score", Role.SCORER), TOO_LARGE)
    yield Attack(
        "push a body longer than the limit",
        lambda t: t.push(b"x" * (t.server.settings.bundle_max_bytes + 1)),
        TOO_LARGE,
    )
    packed = gzip.compress(json.dumps({"reason": "x" * 1_000_000}).encode())
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP", "x-gzip"):
        headers = {"Content-Encoding": encoding}
        push = partial(lambda said, t: t.push(good(), **said), headers)
        yield Attack(f"push a body packed with {encoding}", push, {(415, "unsupported-media-type")})
        back = partial(
            lambda said, t: t.server.client.post(
                "/rollback_model", content=packed,
                headers={**t.server.bearer(Role.OPERATOR), **said},
            ),
            headers,
        )  # fmt: skip
        name = f"step back with a body packed with {encoding}"
        yield Attack(name, back, {(415, "unsupported-media-type")})


def contents() -> Iterator[Attack]:
    """Signed by the trusted key: a scheduler that was taken over, or is broken."""

    def push(raw: bytes) -> Make:
        return lambda t: t.push(raw)

    for name, raw in (*archives(), *manifests()):
        yield Attack(f"push {name}", push(raw), MALFORMED)
    for name, raw in (*external(), *operators(), *formats()):
        yield Attack(f"push {name}", push(with_graph(raw)), MALFORMED)
    beside = with_graph(next(external())[1], "classifier/model.onnx")
    yield Attack("push a tensor elsewhere in a graph nobody serves", push(beside), MALFORMED)
    for files in ({"model.pkl": pickle.dumps(Loot())}, {"model.onnx": pickle.dumps(Loot())}):
        flavoured = pack(manifest(VERSION, flavour="cloudpickle"), files)
        unusable = {(422, "model-unusable"), *MALFORMED}
        name = f"push a pickle as {next(iter(files))} in its own flavour"
        yield Attack(name, push(flavoured), unusable)
    for protocol in (0, 2, pickle.HIGHEST_PROTOCOL):
        loot = pickle.dumps(Loot(), protocol)
        named = f"a pickle (protocol {protocol})"
        yield Attack(f"push {named} as the bundle", push(loot), MALFORMED)
        yield Attack(f"push {named} as the graph", push(with_graph(loot)), MALFORMED)
        yield Attack(f"push {named} as the manifest", push(with_raw_manifest(loot)), MALFORMED)


def pushes() -> Iterator[Attack]:
    for part in (credentials, signatures, order, bodies, contents):
        yield from part()
