"""Every attack of the tests' catalogue on a running service, and what was parsed too early.

The catalogue is tests/api/attacks: pushes by the wrong people, signatures that do not hold, bundles
that are not what they say although they are rightly signed, other routes, and the bare wire. An
attack counts as refused when the answer says so by its documented status and kind, the registry
is as it was, and the version that served serves on. Bytes count as deserialised as soon as any
parser gets them, as the interpreter reports its calls (sys.setprofile in the service's threads).
"""

import logging
import tempfile
import time
from pathlib import Path

import structlog

from benchmarks.report import finish, no_options
from shared.keys.tokens import API_ROLES, ensure_tokens
from shared.tables.engine import connect, migrate
from tests.api.attacks.archives import good
from tests.api.attacks.attack import Attack, Target, outcome
from tests.api.attacks.parse_watch import ParseWatch
from tests.api.attacks.pushes import bodies, contents, credentials, order, signatures
from tests.api.attacks.requests import requests, routes
from tests.api.attacks.target import prepared
from tests.api.attacks.wire import wire
from tests.api.bundles import Signer, install
from tests.api.server import serve_settings

_TRIED = 300


def main() -> None:
    no_options(__doc__)
    _be_quiet()
    watch = ParseWatch()
    watch.install()
    with tempfile.TemporaryDirectory(prefix="understudy-attacks-") as name:
        folder = Path(name)
        settings, signer = serve_settings(folder), Signer(folder / "keys")
        ensure_tokens(settings.keys_dir, API_ROLES)
        install(settings, signer, "1.0.0")
        engine = connect(settings.database_url.get_secret_value())
        migrate(engine)
        engine.dispose()
        with prepared(settings, signer) as target:
            figures = _attack(target, watch)
    watch.remove()
    finish(
        "attacks",
        figures,
        {
            "attacks_tried": (">=", _TRIED),
            "attacks_not_refused": ("==", 0),
            "bytes_deserialised_before_the_signature_held": ("==", 0),
            "parsers_called_before_the_signature_held": ("==", 0),
            "bytes_deserialised_of_a_good_push": (">=", len(good())),
        },
    )


def _attack(target: Target, watch: ParseWatch) -> dict[str, float]:
    started = time.perf_counter()
    unsigned = [*credentials(), *signatures()]
    watch.active = True
    for attack in unsigned:
        attack.attempt(target)
    early = watch.before, watch.calls_before
    watch.active = False
    rest = [*order(), *bodies(), *contents(), *requests(), *wire(), *routes(target.server.app)]
    attacks = [*unsigned, *rest]
    let_in = [attack.name for attack in attacks if _let_in(attack, target)]
    watch.active = True
    target.push(good()).raise_for_status()
    watch.active = False
    return {
        "attacks_tried": len(attacks),
        "attacks_refused": len(attacks) - len(let_in),
        "attacks_not_refused": len(let_in),
        "of_these_signed_by_the_trusted_key": len([*order(), *contents()]),
        "bytes_deserialised_before_the_signature_held": early[0],
        "parsers_called_before_the_signature_held": early[1],
        "bytes_deserialised_of_a_good_push": watch.after,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _let_in(attack: Attack, target: Target) -> bool:
    trouble = outcome(attack, target)
    if trouble is not None:
        print(f"NOT REFUSED: {attack.name}: {trouble}")
    return trouble is not None


def _be_quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)


if __name__ == "__main__":
    main()
