"""Stop signals: SIGTERM, SIGINT and SIGHUP, handled from the program's first instruction.

The kernel drops signals to PID 1 that have no handler, so this module imports nothing that takes
time to load. One handler stays installed until the process ends and changes its action with the
phase: between two handlers, a signal could be lost.
"""

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time these would double the time until a signal is handled
    from collections.abc import Callable
    from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """Handles the stop signals of this process.

    A signal ends the process at once until `cancel` is set; then the first signal calls `cancel` in
    the main thread. Later signals have no effect on a server, whose drain has a time limit, and end
    any other command at once. The exit code is 0 for `serve`, and 128 plus the signal's number for
    other commands.
    """

    def __init__(self, *, serves: bool) -> None:
        self._serves = serves
        self.cancel: Callable[[], None] | None = None
        self.exit_code: int | None = None
        """Set by the first signal."""

    @classmethod
    def handle(cls) -> "StopSignals":
        """Install and return the handler; SIGHUP stays ignored if it is, as `nohup` requires.

        Unblocks signals that the parent process has blocked: pending ones arrive now.
        """
        signals = cls(serves=sys.argv[1:2] == ["serve"])
        for number in STOP_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signals)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return signals

    @classmethod
    def of_process(cls) -> "StopSignals":
        """Return this process's handler; an unused one if `handle` was not called."""
        handler = signal.getsignal(signal.SIGTERM)
        return handler if isinstance(handler, cls) else cls(serves=False)

    def unwind(self) -> None:
        """Let the first signal raise SystemExit in the main thread, except for a server."""
        if not self._serves:
            self.cancel = self._exit

    def _exit(self) -> None:
        raise SystemExit(self.exit_code)

    def __call__(self, number: int, _: "FrameType | None") -> None:
        is_first = self.exit_code is None
        if self.exit_code is None:
            self.exit_code = 0 if self._serves else 128 + number
        if self.cancel is None or not (is_first or self._serves):
            os._exit(self.exit_code)
        if is_first:
            self.cancel()
