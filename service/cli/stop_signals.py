"""Stop signals: SIGTERM, SIGINT and SIGHUP, handled from the program's first instruction on.

The kernel drops a signal to PID 1 that has no handler, so this module imports nothing that takes
time to load. One handler stays in place until the process ends; what it does changes with the
phase, so that there is no moment between two handlers in which a signal could be lost.
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

    While nothing is open, a signal ends the process at once. Once `cancel` is set, the first one
    calls that, in the main thread. A later one has no effect on a server, whose drain has a time
    limit of its own; any other command ends at once. The exit code is 0 for `serve`, and 128 plus
    the signal's number for any other command.
    """

    def __init__(self, *, serves: bool) -> None:
        self._serves = serves
        self.cancel: Callable[[], None] | None = None
        self.exit_code: int | None = None
        """Set by the first signal."""

    @classmethod
    def handle(cls) -> "StopSignals":
        """Handle them from now on. SIGHUP stays ignored where it is: `nohup` asks for that.

        A signal that the parent process has blocked is unblocked: one that waits arrives now.
        """
        signals = cls(serves=sys.argv[1:2] == ["serve"])
        for number in STOP_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signals)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return signals

    @classmethod
    def of_process(cls) -> "StopSignals":
        """What handles them in this process; one that gets none, where `handle` was not called."""
        handler = signal.getsignal(signal.SIGTERM)
        return handler if isinstance(handler, cls) else cls(serves=False)

    def unwind(self) -> None:
        """Let the first signal raise SystemExit in the main thread; a server ends at once."""
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


def main() -> None:
    """The command `postcore`: handles stop signals first, and loads everything else after that."""
    signals = StopSignals.handle()
    from service.runtime import standard_streams

    # what is loaded next opens files: libffi keeps one
    standard_streams.open_missing()
    from service.cli import main as cli

    signals.unwind()
    cli.main()
