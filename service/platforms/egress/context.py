"""The outside: what every adapter is given to reach its platform's servers with."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from service.domain.clock import Clock
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress
from service.platforms.egress.origin import Origin


@dataclass(frozen=True, slots=True)
class EgressContext:
    """The guarded way out, with the few origins that the operator trusts, each in its role."""

    egress: Egress
    names: Resolver
    clock: Clock
    directory: Origin
    """The PLC directory: trusted for DID documents alone."""
    handle_resolver: Origin | None
    """Trusted to resolve handles, and nothing else. Unset: DNS and the well-known file."""
    account_servers: frozenset[Origin]
    """Trusted as account servers, and nothing else."""
    leave: Callable[[Coroutine[Any, Any, object]], None]
    """Does work that nobody waits for, and that has a bound of its own."""
