"""Windows of users under a bound of users and of rows; a colder one goes before a warmer one."""

import random
from collections.abc import Iterator

from usecases.fraud.features.window import UserWindow

_FEW = 64


class KeptWindows:
    """Not safe to use from several threads; `RecentWindows` takes turns.

    Of many windows two are taken by chance, and the one used longer ago goes. Were it always
    the coldest of all, users who come round and round would find nothing once there are a few
    more of them than there is room for, as each goes just before its turn.

    Attributes:
        rows: places of all windows together.
    """

    def __init__(self, max_users: int, max_rows: int) -> None:
        self.rows = 0
        self._max_users = max_users
        self._max_rows = max_rows
        self._windows: dict[str, UserWindow] = {}
        self._users: list[str] = []
        self._turn = 0
        self._dice = random.Random(0)  # noqa: S311 - any will do

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._users)

    def get(self, user_id: str) -> UserWindow | None:
        return self._windows.get(user_id)

    def next_turn(self) -> None:
        """What is used from now on is warmer than all before, and stays for this turn."""
        self._turn += 1

    def use(self, window: UserWindow) -> None:
        window.used = self._turn

    def put(self, user_id: str, window: UserWindow) -> None:
        """Keep a window of a user who has none."""
        window.place, window.used = len(self._users), self._turn
        self._windows[user_id] = window
        self._users.append(user_id)
        self.rows += window.taken

    def drop(self, user_id: str) -> None:
        window = self._windows.pop(user_id, None)
        if window is None:
            return
        self.rows -= window.taken
        last = self._users.pop()
        if last != user_id:
            self._users[window.place] = last
            self._windows[last].place = window.place

    def clear(self) -> None:
        self._windows.clear()
        self._users.clear()
        self.rows = 0

    def keep_bounds(self) -> None:
        """Not while rows wait to be taken: the window of one could go before it holds the row."""
        while self._windows and (
            len(self._windows) > self._max_users or self.rows > self._max_rows
        ):
            user_id = self._colder()
            if self._windows[user_id].used == self._turn:
                # chance found nothing colder: look at all, which is rare
                user_id = min(self._users, key=lambda each: self._windows[each].used)
            if self._windows[user_id].used == self._turn and len(self._windows) <= self._max_users:
                return
            self.drop(user_id)

    def _colder(self) -> str:
        count = len(self._users)
        if count <= _FEW:
            return min(self._users, key=lambda each: self._windows[each].used)
        # faster than randrange, and as good
        one = self._users[int(self._dice.random() * count)]
        other = self._users[int(self._dice.random() * count)]
        return min(one, other, key=lambda each: self._windows[each].used)
