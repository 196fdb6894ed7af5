"""Garbage is collected again once a process has started, or failed to."""

import gc

import pytest

from shared.system.collector import no_collection


def test_nothing_is_collected_within_the_block() -> None:
    with no_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_failed_start_leaves_the_collector_on() -> None:
    with pytest.raises(RuntimeError), no_collection():
        raise RuntimeError
    assert gc.isenabled()
