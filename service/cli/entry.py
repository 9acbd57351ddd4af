"""The entry point of the command `postcore`: handles stop signals, then loads everything else."""

from service.cli.stop_signals import StopSignals


def main() -> None:
    """Run the command. Signals are handled before any import that takes time."""
    signals = StopSignals.handle()
    from service.runtime import standard_streams

    # before further imports, which open files; libffi keeps one open
    standard_streams.open_missing()
    from service.cli import main as cli

    signals.unwind()
    cli.main()
