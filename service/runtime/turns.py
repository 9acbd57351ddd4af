"""Turns: a cap on the work that each turn of the event loop does for one kind of input.

A flood of such input then delays itself only: all other tasks run between two turns.
"""

import asyncio
from collections import deque


class Turns:
    """Admits up to *max_per_turn* callers in each turn of the event loop, first in, first out."""

    def __init__(self, max_per_turn: int) -> None:
        self._max_per_turn = max_per_turn
        self._left = max_per_turn
        self._queue: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for a place in a turn."""
        if self._left == self._max_per_turn:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._left:
            self._left -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        await place

    def _next_turn(self) -> None:
        self._left = self._max_per_turn
        while self._left and self._queue:
            place = self._queue.popleft()
            if not place.done():  # done: its caller was cancelled
                self._left -= 1
                place.set_result(None)
        if self._left < self._max_per_turn:
            asyncio.get_running_loop().call_soon(self._next_turn)
