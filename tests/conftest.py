"""For every test: our package comes first, since it switches telemetry of dependencies off."""

from hypothesis import settings

import shared  # noqa: F401
from tests.support.parsing_one_at_a_time import parse_one_at_a_time

# How long one example takes says how busy the machine is.
settings.register_profile("understudy", deadline=None)
settings.load_profile("understudy")

parse_one_at_a_time()
