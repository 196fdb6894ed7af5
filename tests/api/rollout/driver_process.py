"""`python -m tests.api.rollout.driver_process FOLDER URL`: drives until it is killed."""

import sys
import time
from pathlib import Path

from tests.api.rollout.world import driving

if __name__ == "__main__":
    with driving(Path(sys.argv[1]), sys.argv[2]) as driver:
        while True:
            driver.tick()
            time.sleep(0.05)
