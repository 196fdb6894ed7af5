"""`python -m usecases.tickets.generate`: tickets.csv, as a help desk might export it.

Every row is a ticket on the day it was opened; the team that solved it is known three days later.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from usecases.declared.generated import Generated, GeneratedDays, entities

TEAMS = ("accounts", "billing", "hardware", "network")
AREAS = ("invoice", "login", "mail", "phone", "router", "shop", "television", "wireless")
DEVICES = ("console", "laptop", "none named", "smartphone", "tablet")
DELAY_DAYS = 3

# Weights of product area, device and further columns for each team (logits).
AREA_PULL = np.array([
    [0.2, 3.0, -1.0, -1.0], [3.0, 0.4, 0.0, 0.2], [1.5, 0.0, -0.5, 0.8], [0.0, 0.5, 1.6, 0.9],
    [-0.5, -0.8, 1.8, 1.6], [0.9, 1.9, 0.1, -1.0], [0.0, 0.2, 1.4, 1.1], [-0.3, -1.0, 0.9, 2.6],
])  # fmt: skip
DEVICE_PULL = np.array([
    [0.0, -0.2, 0.9, 0.7], [0.3, 0.0, 0.7, 0.6], [0.4, 0.9, -0.8, -0.4], [0.5, 0.1, 0.2, 0.5],
    [0.2, 0.1, 0.5, 0.4],
])  # fmt: skip
OUTAGE_PULL = np.array([-0.6, -0.6, 0.0, 2.0])
ATTACHMENT_PULL = np.array([0.1, 0.6, 0.2, -0.2])


def tickets(rows: int, seed: int = 1, until: datetime | None = None) -> pl.DataFrame:
    """Rows up to a day, with the team where it had time to become known."""
    random = np.random.default_rng(seed)
    past = GeneratedDays(random, rows, until)
    area, device = random.integers(0, len(AREAS), rows), random.integers(0, len(DEVICES), rows)
    has_outage, attachments = random.random(rows) < 0.15, random.poisson(0.8, rows)
    pull = AREA_PULL[area] + DEVICE_PULL[device] + np.outer(has_outage, OUTAGE_PULL)
    pull = pull + np.outer(attachments, ATTACHMENT_PULL)
    # Gumbel-max trick: the argmax with Gumbel noise is a sample from the softmax
    team = np.argmax(pull + random.gumbel(0, 0.7, pull.shape), axis=1)
    return pl.DataFrame(
        {
            "requester_id": entities(random, "q", rows),
            "opened_on": past.dates(),
            "product_area": [AREAS[one] for one in area],
            "named_device": [DEVICES[one] for one in device],
            "has_outage": np.where(has_outage, "yes", "no"),
            "attachments": attachments,
            "words_written": random.poisson(60, rows),
            "earlier_tickets": random.poisson(1.2, rows),
            "team": past.known([TEAMS[one] for one in team], DELAY_DAYS),
        }
    )


GENERATED = Generated(Path(__file__).with_name("tickets.csv"), tickets)

if __name__ == "__main__":
    GENERATED.write()
