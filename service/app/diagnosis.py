"""The diagnosis that `postcore doctor` shows: each step from a handle to its account's server."""

from collections.abc import Callable

from service.app.startup import egress_context
from service.domain.clock import SystemClock
from service.platforms.bluesky.doctor import Doctor
from service.runtime.tasks import OwnedTasks
from service.settings import Settings
from service.transport.status import STATUS

RESULTS = {True: "ok", False: "failed", None: "-"}


async def diagnose(
    settings: Settings, handle: str, show: Callable[[str], object], *, sandbox: bool = False
) -> str:
    """Return the error that a connect of *handle* would end with, as one line; empty if none.

    Calls *show* with a line for each step as it ends. Raises StartError.
    """
    if sandbox:
        origin = f"http://{settings.sandbox_address}"
        only = {"plc_url": origin, "handle_resolver_url": origin, "trusted_origins": (origin,)}
        settings = settings.model_copy(update=only)
    context = egress_context(settings, SystemClock(), OwnedTasks().spawn)
    doctor = Doctor(context)
    try:
        async for seen in doctor.examine(handle):
            milliseconds = round(seen.seconds * 1000)
            show(f"{seen.name:<13} {RESULTS[seen.is_fit]:<7} {milliseconds:>6}  {seen.text}")
    finally:
        await context.egress.close()
    refusal = doctor.refusal
    if refusal is None:
        return ""
    metadata = " ".join(f"{name}={value}" for name, value in sorted(refusal.metadata.items()))
    return f"{STATUS[type(refusal)].name} {metadata}: {refusal.message}"
