"""The work of `postcore doctor`: the way to an account's server, step by step."""

from collections.abc import Callable

from service.app.startup import outside
from service.domain.clock import SystemClock
from service.platforms.bluesky.doctor import Doctor
from service.runtime.tasks import OwnedTasks
from service.settings import Settings
from service.transport.status import STATUS

FIT = {True: "ok", False: "failed", None: "-"}


async def examined(
    settings: Settings, handle: str, show: Callable[[str], object], *, sandbox: bool = False
) -> str:
    """What a connect of *handle* would be refused with, in a sentence; empty if nothing is wrong.

    *show* is called with the line of each step as it ends. Raises StartError.
    """
    if sandbox:
        origin = f"http://{settings.sandbox_address}"
        only = {"plc_url": origin, "handle_resolver_url": origin, "trusted_origins": (origin,)}
        settings = settings.model_copy(update=only)
    tasks = OwnedTasks()
    way_out = outside(settings, SystemClock(), tasks.spawn)
    doctor = Doctor(way_out)
    try:
        async for seen in doctor.examine(handle):
            milliseconds = round(seen.seconds * 1000)
            show(f"{seen.name:<13} {FIT[seen.fit]:<7} {milliseconds:>6}  {seen.what}")
    finally:
        await way_out.egress.close()
    refusal = doctor.refusal
    if refusal is None:
        return ""
    named = " ".join(f"{name}={value}" for name, value in sorted(refusal.metadata.items()))
    return f"{STATUS[type(refusal)].name} {named}: {refusal.message}"
