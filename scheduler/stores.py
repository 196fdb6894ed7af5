"""The scheduler's places for files: its disk, and with STORE_URL the store as well."""

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.shared_files import SharedFiles
from scheduler.settings import SchedulerSettings
from shared.keys.store import KeyStore, sign
from shared.storage.build import open_store


def candidate_store(settings: SchedulerSettings) -> CandidateStore:
    """Candidates, with their verdicts and reports."""
    shared = _shared(settings, "candidates/")
    return CandidateStore(settings.retrained_models_dir, settings.candidates_kept, shared)


def held_out_store(settings: SchedulerSettings) -> HeldOutStore:
    """The rows that candidates were judged on."""
    shared = _shared(settings, "held-out/")
    return HeldOutStore(settings.test_data_dir, settings.held_out_sets_kept, shared)


def _shared(settings: SchedulerSettings, prefix: str) -> SharedFiles | None:
    """Raises SettingsError when STORE_URL cannot be used."""
    store = open_store(settings)
    if store is None:
        return None
    keys = KeyStore(settings.keys_dir)
    return SharedFiles(
        store, prefix, lambda text: sign(text, keys.private_key()), keys.accepted_keys
    )
