"""A simulated past in which three things change, one after the other, and stay changed.

First crimes come up that were not seen before (card testing, cloned cards, unusual devices), then
all amounts grow, then a category of merchants is compromised. Before that the world is
stationary: compromised merchants, takeovers and big tickets.
"""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY
from shared.tables.writer import write_history_records
from simulator.crimes import buy_big, clone, compromise, take_over, test_cards, use_strange_device
from simulator.events import Crime, EventStage, SimulatedEvents, together
from simulator.history import COLUMNS, SimulatedPast, records, witnessed
from simulator.spending import spend
from simulator.world import ELECTRONICS, World, build_world

PURPOSE = 3
"""The seed of these draws; others make the world itself."""


@dataclass(frozen=True, slots=True)
class Story:
    """The size of the world, and the day of each change (days since its beginning)."""

    customers: int = 450
    merchants: int = 1_200
    days: int = 230
    usual_share: float = 0.02
    new_crimes_day: int = 120
    new_share: float = 0.02
    inflation_day: int = 127
    inflation: float = 1.6
    category_day: int = 134
    category: int = ELECTRONICS
    category_share: float = 0.3


def write_story(engine: Engine, seed: int, now_us: int, story: Story) -> int:
    """Write the past of a seed; returns how many rows that is."""
    world = build_world(seed, customers=story.customers, merchants=story.merchants)
    written = 0
    with engine.begin() as connection:
        for batch in records(world, tell(world, now_us, story)):
            written += write_history_records(connection, COLUMNS, batch)
    return written


def tell(world: World, now_us: int, story: Story) -> SimulatedPast:
    """Everything that happened up to now."""
    rng = world.rng(PURPOSE)
    stage = EventStage(world, rng, now_us - story.days * MICROS_PER_DAY, now_us)
    honest = spend(stage)
    events = _usual(stage, honest, story)
    events = together([events, *_new(stage, honest, story)])
    events = _inflated(stage, events, story)
    events = _compromised(stage, events, story)
    inside = (events.time_us >= stage.start_us) & (events.time_us < now_us)
    return witnessed(rng, events.take(inside), now_us)


def day_us(story: Story, now_us: int, day: float) -> int:
    """The instant at which a day of the story begins."""
    return now_us - round((story.days - day) * MICROS_PER_DAY)


def _usual(stage: EventStage, honest: SimulatedEvents, story: Story) -> SimulatedEvents:
    budget = len(honest) * story.usual_share
    return together(
        [
            compromise(stage, honest, round(budget * 0.4)),
            take_over(stage, round(budget * 0.4)),
            buy_big(stage, round(budget * 0.2)),
        ]
    )


def _new(stage: EventStage, honest: SimulatedEvents, story: Story) -> list[SimulatedEvents]:
    late = stage._replace(start_us=day_us(story, stage.end_us, story.new_crimes_day))
    since = honest.take(honest.time_us >= late.start_us)
    budget = len(since) * story.new_share
    return [
        test_cards(late, round(budget * 0.4)),
        clone(late, since, round(budget * 0.3)),
        use_strange_device(late, round(budget * 0.3)),
    ]


def _inflated(stage: EventStage, events: SimulatedEvents, story: Story) -> SimulatedEvents:
    late = events.time_us >= day_us(story, stage.end_us, story.inflation_day)
    amount = np.where(late, (events.amount * story.inflation).round(2), events.amount)
    return events.with_columns(amount=amount)


def _compromised(stage: EventStage, events: SimulatedEvents, story: Story) -> SimulatedEvents:
    late = events.time_us >= day_us(story, stage.end_us, story.category_day)
    there = stage.world.merchants.category[events.merchant] == story.category
    stolen = late & there & (stage.rng.random(len(events)) < story.category_share)
    return events.with_columns(crime=np.where(stolen, Crime.COMPROMISED_MERCHANT, events.crime))
