"""EgressContext: the dependencies with which an adapter reaches its platform's servers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from service.domain.clock import Clock
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress
from service.platforms.egress.origin import Origin


@dataclass(frozen=True, slots=True)
class EgressContext:
    """Guarded outbound calls, and the origins that the operator trusts, each for one role."""

    egress: Egress
    names: Resolver
    clock: Clock
    directory: Origin
    """The PLC directory: trusted for DID documents only."""
    handle_resolver: Origin | None
    """Trusted to resolve handles only. None: handles resolve by DNS and the well-known file."""
    account_servers: frozenset[Origin]
    """Trusted as account servers only."""
    spawn: Callable[[Coroutine[Any, Any, object]], None]
    """Runs work in the background. The work must have a time limit of its own."""
