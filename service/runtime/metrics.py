"""Metrics: every number that the service measures, each defined here and nowhere else.

Each label has a small fixed set of values, none of which a caller, a tenant or a platform's server
can choose. A new metric needs a row in docs/operations.md; a test compares them.
"""

from math import nan
from platform import python_version
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

from service.runtime.tally import CounterTally, HistogramTally

CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
PLATFORM_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
STORE_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "_OTHER"
"""The label of a method or verb that is not of the contract."""


class Definition(NamedTuple):
    """A metric as Prometheus shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """The metrics of one service, in a registry of their own.

    Components call the instruments. Gauges that show a count which another object keeps have it
    read at each scrape (`set_function`), by the composition root.
    """

    def __init__(self, version: str = "") -> None:
        self._registry = CollectorRegistry()
        # the library's own switch: half of all series would say when another was made
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.definitions: list[Definition] = []
        """All metrics but those of the process, which the library defines."""
        self._define_calls()
        self._define_platforms()
        self._define_connections()
        self._define_webhooks()
        self._define_store()
        self._define_process()
        self.build_info.labels(version, python_version()).set(1)
        self.certificate_end.set(nan)  # without TLS
        # a series that begins at its first failure has no rate for an alert
        for why in ("unreadable", "key_missing"):
            self.secret_failures.labels(why)
        for outcome in ("delivered", "failed", "given_up"):
            self.webhook_deliveries.labels(outcome)
        for operation in ("read", "write"):
            self.store_errors.labels(operation)
        for transport in ("grpc", "http"):
            self.refusals.labels(transport, "INTERNAL")
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format (CONTENT_TYPE)."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(*self._define(name, "counter", text, labels), registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(*self._define(name, "gauge", text, labels), registry=self._registry)

    def _histogram(
        self, name: str, text: str, bounds: tuple[float, ...], *labels: str
    ) -> Histogram:
        defined = self._define(name, "histogram", text, labels)
        return Histogram(*defined, buckets=bounds, registry=self._registry)

    def _counter_tally(self, name: str, text: str, *labels: str) -> CounterTally:
        tally = CounterTally(*self._define(name, "counter", text, labels))
        self._registry.register(tally)
        return tally

    def _histogram_tally(
        self, name: str, text: str, bounds: tuple[float, ...], *labels: str
    ) -> HistogramTally:
        tally = HistogramTally(*self._define(name, "histogram", text, labels), bounds)
        self._registry.register(tally)
        return tally

    def _define(
        self, name: str, kind: str, text: str, labels: tuple[str, ...]
    ) -> tuple[str, str, tuple[str, ...]]:
        shown = f"{name}_total" if kind == "counter" else name
        self.definitions.append(Definition(shown, kind, labels, text))
        return name, text, labels

    def _define_calls(self) -> None:
        rpc = ("grpc_type", "grpc_service", "grpc_method")
        self.grpc_started = self._counter_tally(
            "grpc_server_started", "gRPC calls that began, of the contract's methods.", *rpc
        )
        self.grpc_handled = self._counter_tally(
            "grpc_server_handled", "gRPC calls that ended, by code.", *rpc, "grpc_code"
        )
        self.grpc_seconds = self._histogram_tally(
            "grpc_server_handling_seconds", "Time of a gRPC call.", CALL_SECONDS, *rpc
        )
        self.http_seconds = self._histogram_tally(
            "http_server_request_duration_seconds",
            "Time of an HTTP request.",
            CALL_SECONDS,
            "http_request_method",
            "http_route",
            "http_response_status_code",
        )
        self.http_active = self._gauge("http_server_active_requests", "HTTP requests in progress.")
        self.calls_in_progress = self._gauge(
            "postcore_calls_in_progress", "Calls that hold a slot.", "kind"
        )
        self.calls_limit = self._gauge(
            "postcore_calls_limit", "Slots of all tenants, without the reserve.", "kind"
        )
        self.refusals = self._counter(
            "postcore_refusals", "Calls that ended with an error, by reason.", "transport", "reason"
        )
        self.watches = self._gauge("postcore_watches", "Watches that are open.")
        self.watch_lag = self._gauge(
            "postcore_watch_lag_events", "Events that the slowest watch has not been sent."
        )

    def _define_platforms(self) -> None:
        self.logins = self._counter(
            "postcore_logins",
            "Logins that were spent, by what the platform answered.",
            "platform",
            "purpose",
            "outcome",
        )
        self.login_budget_refusals = self._counter(
            "postcore_login_budget_refusals",
            "Logins refused before the platform was asked.",
            "platform",
            "purpose",
            "limit",
        )
        self.platform_calls = self._counter(
            "postcore_platform_calls",
            "Operations at a platform, by outcome.",
            "platform",
            "call",
            "outcome",
        )
        self.platform_seconds = self._histogram(
            "postcore_platform_call_duration_seconds",
            "Time of an operation at a platform.",
            PLATFORM_SECONDS,
            "platform",
            "call",
        )
        self.egress = self._counter(
            "postcore_egress_requests",
            "Outbound HTTP requests, by class of status or by cause of failure.",
            "outcome",
        )

    def _define_connections(self) -> None:
        self.verdicts = self._counter(
            "postcore_verdicts", "Verdicts that were saved.", "platform", "state", "reason"
        )
        self.connections = self._gauge(
            "postcore_connections", "Connections in the store.", "platform", "state"
        )
        self.monitor_lag = self._gauge(
            "postcore_monitor_lag_seconds", "Age of the oldest check that is due."
        )
        self.monitor_rounds = self._counter(
            "postcore_monitor_rounds", "Looks for checks that are due."
        )
        self.monitor_checks = self._counter(
            "postcore_monitor_checks", "Checks by the monitor, by outcome.", "outcome"
        )
        self.monitor_running = self._gauge(
            "postcore_monitor_checks_running", "Checks by the monitor in progress."
        )
        self.leases = self._counter(
            "postcore_leases", "Leases, by what the token cost.", "platform", "cost"
        )
        self.connect_links = self._counter(
            "postcore_connect_links", "What happened to connect links.", "event"
        )

    def _define_webhooks(self) -> None:
        self.webhook_deliveries = self._counter(
            "postcore_webhook_deliveries", "Tries to deliver a message, by outcome.", "outcome"
        )
        self.webhook_seconds = self._histogram(
            "postcore_webhook_send_duration_seconds", "Time of a try.", PLATFORM_SECONDS
        )
        self.webhook_lag = self._gauge(
            "postcore_webhook_lag_seconds",
            "Age of the oldest event that waits for a webhook whose receiver works.",
        )
        self.webhook_lanes = self._gauge(
            "postcore_webhook_lanes", "Webhooks that this process sends to at the moment."
        )
        self.webhooks = self._gauge("postcore_webhooks", "Webhooks in the store.", "state")
        self.webhook_queue = self._gauge(
            "postcore_webhook_queue", "Messages that wait or were given up.", "state"
        )

    def _define_store(self) -> None:
        self.store_seconds = self._histogram_tally(
            "postcore_store_duration_seconds",
            "Time of a query or a transaction, with the wait for its turn. "
            "Not of look-ups by key on SQLite.",
            STORE_SECONDS,
            "operation",
        )
        self.store_errors = self._counter(
            "postcore_store_errors",
            "Queries and transactions that the store could not do.",
            "operation",
        )
        self.store_conflicts = self._counter(
            "postcore_store_conflicts", "Transactions that began again after a conflict."
        )
        self.store_pool = self._gauge(
            "postcore_store_pool_connections", "Connections to PostgreSQL.", "state"
        )
        self.store_waiting = self._gauge(
            "postcore_store_writes_waiting", "Transactions that wait for SQLite's writer."
        )
        self.keyring_keys = self._gauge(
            "postcore_keyring_keys", "Keys in the keyring.", "purpose", "state"
        )
        self.key_age = self._gauge(
            "postcore_keyring_active_key_age_seconds", "Age of the active key.", "purpose", "wrap"
        )
        self.keyring_rows = self._gauge(
            "postcore_keyring_rows",
            "Sealed secrets, by the state of the key that wraps them.",
            "key_state",
        )
        self.secret_failures = self._counter(
            "postcore_secret_failures", "Secrets that did not open.", "why"
        )

    def _define_process(self) -> None:
        self.certificate_end = self._gauge(
            "postcore_certificate_not_after_timestamp_seconds", "When the certificate expires."
        )
        self.loop_lag = self._histogram(
            "postcore_event_loop_lag_seconds",
            "How late the event loop ran a timer.",
            LAG_SECONDS,
        )
        self.ready = self._gauge("postcore_ready", "1 if it works, else 0.", "dependency")
        self.build_info = self._gauge("postcore_build_info", "Always 1.", "version", "python")
