"""Labels whose decisions other workers have in their journals."""

from collections.abc import Sequence

import orjson

from api.workers.peers.network import Peers
from api.workers.peers.router import LABELS
from shared.transaction import Label

_OK = 200


class PeersJournals:
    """Implements `api.scoring.labels.OtherWorkers`; for threads, not for the event loop."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def keep(self, labels: Sequence[Label]) -> set[str] | None:
        body, kept, all_asked = orjson.dumps(labels), set[str](), True
        for number in self._peers.links:
            answered = self._peers.ask_from_thread(number, LABELS, body)
            if answered is None or answered.status != _OK:
                all_asked = False
            else:
                kept |= set(orjson.loads(answered.body))
        # what one worker has, no other has: those of a silent one are among the rest
        return kept if all_asked or len(kept) == len(labels) else None
