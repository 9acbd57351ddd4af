"""Start with a damaged keyring or database."""

import signal
from collections.abc import Callable

from tests.bench.seed import settings

from .keyrings import damages_of, write_keyring
from .load_during_fault import some
from .row import Figure, Ground
from .service_process import Owner, sentence, serving


async def starts(ground: Ground, part: float) -> Figure:
    """Start with each damage: the start must fail with a clear sentence."""
    folder = ground.folder / "starts"
    folder.mkdir()
    read = settings(folder, f"sqlite:///{folder / 'postcore.db'}")
    await Owner.made(read)
    async with serving(read, folder / "log") as served:
        await served.ready()
        await served.end(signal.SIGTERM)
    file, keyring = read.database_file, read.keyring_file
    whole, keys = file.read_bytes(), keyring.read_bytes()
    damages: dict[str, tuple[Callable[[], object], str]] = {
        f"keyring {name}": (spoil, said)
        for (name, spoil), said in zip(
            damages_of(keyring).items(),
            ("is open to others", "there is no keyring", "not the one that", "is not JSON"),
            strict=True,
        )
    }
    middle = len(whole) // 2

    def make_folder() -> None:
        file.unlink()
        file.mkdir()

    damages |= {
        "database cut": (lambda: file.write_bytes(whole[:middle]), "database"),
        "no database": (lambda: file.write_bytes(b"notes " * 2000), "is not a database"),
        "a folder": (make_folder, "cannot be opened"),
    }
    wrong = []
    tried = some(list(damages), part)
    for name in tried:
        spoil, said = damages[name]
        spoil()
        refusal = await sentence(read, folder / "log")
        if said not in refusal or "Traceback" in refusal:
            wrong.append(f"{name}: {refusal or 'started'}")
        if file.is_dir():
            file.rmdir()
        for each in folder.glob("postcore.db-*"):
            each.unlink()
        file.write_bytes(whole)
        write_keyring(keyring, keys)
    again = await sentence(read, folder / "log")
    return Figure(
        f"at start: {', '.join(tried)}",
        "; ".join(wrong) or f"{len(tried)} sentences, no start; right again: {again or 'started'}",
        not wrong and not again,
    )
