"""Turns: work that anybody can cause goes on a little in each turn of the event loop.

So a flood of it takes time from itself, and all else gets a turn in between.
"""

import asyncio
from collections import deque


class Turns:
    """Lets *each_turn* pieces of work go on in each turn of the event loop, first come, first
    served."""

    def __init__(self, each_turn: int) -> None:
        self._each_turn = each_turn
        self._left = each_turn
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Return once it is the caller's turn."""
        if self._left == self._each_turn:
            asyncio.get_running_loop().call_soon(self._next)
        if self._left:
            self._left -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        self._left = self._each_turn
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller has been cancelled
                self._left -= 1
                turn.set_result(None)
        if self._left < self._each_turn:
            asyncio.get_running_loop().call_soon(self._next)
