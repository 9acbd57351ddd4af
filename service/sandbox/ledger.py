"""Ledger: what the PLC directory holds of each DID: its handle, and the server that keeps it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Home:
    """A server, as the ledger names it; its origin is known once it runs."""

    origin: str = ""


@dataclass(slots=True)
class Entry:
    """What is written down for one DID."""

    handle: str
    home: Home
    tombstoned: bool = False


class Ledger:
    """The entries of all DIDs, whichever server they were made at."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __contains__(self, did: str) -> bool:
        return did in self._entries

    def __getitem__(self, did: str) -> Entry:
        """The entry of *did*; KeyError if it was never registered."""
        return self._entries[did]

    def enter(self, did: str, handle: str, home: Home) -> None:
        """Write down, or write anew, where *did* lives, and under which handle."""
        self._entries[did] = Entry(handle, home)

    def find(self, name: str) -> str | None:
        """The DID that is *name*, or whose handle is; of several, the one entered last."""
        if name in self._entries:
            return name
        dids = [did for did, entry in self._entries.items() if entry.handle == name]
        return dids[-1] if dids else None

    def clear(self) -> None:
        """Forget every DID."""
        self._entries.clear()
