"""CallMetrics: counts and times calls, with labels from the contract alone."""

from service.domain.errors import NotImplementedYet, ServiceError
from service.runtime.metrics import OTHER, Metrics
from service.transport.servicers import SERVICES
from service.transport.status import STATUS

CANCELLED = "Canceled"
VERBS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
CODES = {
    kind: "".join(word.capitalize() for word in status.code.name.split("_"))
    for kind, status in STATUS.items()
}
"""The code of each error, as gRPC's middleware for Prometheus writes it."""


class CallMetrics:
    """The metrics of calls. Their children are looked up once: every call uses them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.labels = {
            method.name: (
                "server_stream" if method.server_streaming else "unary",
                service.full_name,
                method.name,
            )
            for service in SERVICES
            for method in service.methods
        }
        known = self.labels.items()
        self._started = {name: metrics.grpc_started.labels(*of) for name, of in known}
        self._ok = {name: metrics.grpc_handled.labels(*of, "OK") for name, of in known}
        self._seconds = {name: metrics.grpc_seconds.labels(*of) for name, of in known}

    def begin(self, transport: str, method: str) -> None:
        """Count the start of a call."""
        if transport == "grpc":
            self._started[method].value += 1

    def end(
        self, transport: str, method: str, error: ServiceError | None, seconds: float, *, ok: bool
    ) -> None:
        """Count the end of a call. Neither *ok* nor an *error*: its caller cancelled it.

        Over HTTP only refusals count here: `request` counts the rest.
        """
        if error is not None:
            self._metrics.refusals.labels(transport, STATUS[type(error)].name).inc()
        if transport != "grpc":
            return
        self._seconds[method].observe(seconds)
        if ok:
            self._ok[method].value += 1
        else:
            code = CANCELLED if error is None else CODES[type(error)]
            self._metrics.grpc_handled.labels(*self.labels[method], code).value += 1

    def unknown(self) -> None:
        """Count a gRPC call of a method that is not of the contract."""
        labels = "unary", OTHER, OTHER
        self._metrics.grpc_started.labels(*labels).value += 1
        self._metrics.grpc_handled.labels(*labels, CODES[NotImplementedYet]).value += 1

    def request(self, verb: str, route: str, status: int, seconds: float) -> None:
        """Count the end of an HTTP request. *route* empty: of a path without a route."""
        verb = verb if verb in VERBS else OTHER
        self._metrics.http_seconds.labels(verb, route, str(status)).observe(seconds)
