"""Hosts with nothing in common but a store, without their servers."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.registry.audit import AuditTrail
from api.registry.ledger import Acceptance, Ledger
from api.registry.registry import Meta, Registry, StoredVersion
from api.registry.share import Share
from shared.clock import MICROS_PER_SECOND
from shared.errors import DigestMismatch
from shared.storage.object_store import ObjectStore

USE_CASE = "tiny"


class SteppedClock:
    """Each look is a second later than the one before, on all hosts."""

    def __init__(self) -> None:
        self.us = 1_000_000_000

    def now_us(self) -> int:
        self.us += MICROS_PER_SECOND
        return self.us


def accept_by_digest(accepted: Acceptance, stored: StoredVersion) -> Meta:
    """Stands in for the verifier, which checks the signature as well."""
    if hashlib.sha256(stored.raw).hexdigest() != accepted.sha256:
        raise DigestMismatch(f"the store's {accepted.version} is not what was accepted")
    return described(accepted.version, stored.raw, accepted.accepted_at_us)


def described(version: str, raw: bytes, at_us: int) -> Meta:
    return Meta(
        version=version,
        sha256=hashlib.sha256(raw).hexdigest(),
        key_id="key",
        accepted_at_us=at_us,
        size_bytes=len(raw),
        manifest={"version": version},
    )


class Host:
    """One host's registry and its part in the store."""

    def __init__(self, name: str, folder: Path, store: ObjectStore, clock: SteppedClock) -> None:
        self.name, self.clock = name, clock
        self.registry = Registry(folder / name)
        self.share = Share(
            store,
            self.registry,
            accept_by_digest,
            AuditTrail(self.registry.audit_path, clock),
            clock,
            use_case=USE_CASE,
            host=name,
            max_bytes=1_000_000,
        )
        self.registry.shared = self.share
        self.registry.open()

    @property
    def current(self) -> str | None:
        return self.registry.current()

    @property
    def ledger(self) -> Ledger:
        return self.registry.content().ledger

    def push(self, version: str, raw: bytes | None = None) -> None:
        """As `Promoter.push`: upload, then one change."""
        raw = raw or f"bundle {version} of {self.name}".encode()
        self.registry.refresh()
        meta = described(version, raw, self.clock.now_us())
        stored = StoredVersion(raw, "signature")
        self.share.upload(meta, stored)
        accepted = self.registry.ledger.with_accepted(meta.acceptance(), None)
        self.registry.commit(
            accepted.with_activation(version, self.clock.now_us()),
            current=version,
            stored=(meta, stored),
        )

    def roll_back(self, to: str, *, blamed: bool = True) -> None:
        """As `Rollback.record`."""
        self.registry.refresh()
        ledger, now_us = self.registry.ledger, self.clock.now_us()
        left = self.current
        if blamed and left is not None:
            ledger = ledger.with_rollback(left, "it alerts too much", now_us)
        self.registry.commit(ledger.with_activation(to, now_us), current=to, may_be_owed=True)

    def revoke(self, version: str) -> None:
        self.registry.refresh()
        self.registry.revoke(version, "poisoned", self.clock.now_us())


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """The mount is gone while the block runs."""
    aside = folder.with_name(f"{folder.name}-aside")
    shutil.move(folder, aside)
    try:
        yield
    finally:
        shutil.move(aside, folder)
