"""Outages: faulty answers of the platform that prove nothing."""

from hypothesis import strategies as st

from service.sandbox import faults
from service.sandbox.breakages import EVERY
from service.sandbox.faults import (
    AnotherDid,
    AnotherEndpoint,
    AnotherHandle,
    Fault,
    OpaqueTokens,
    RateLimit,
)

SLOW = (faults.Hang, faults.Slow, faults.Drip)
"""The faults that a deadline must end."""
ELSEWHERE = "http://127.0.0.1:9/"
METHODS = (
    EVERY,
    "createSession",
    "refreshSession",
    "deleteSession",
    "getRepoStatus",
    "getRecord",
    "resolveHandle",
    "plc",
)
STATUSES = (400, 403, 404, 429, 500, 501, 502, 503, 504)


def outages() -> st.SearchStrategy[tuple[Fault, str]]:
    """Return a fault, and the method that it affects.

    A 401 in an XRPC answer to a login is excluded: it is a proof there, even if it is false.
    """
    anywhere = st.one_of(
        st.sampled_from(STATUSES).map(faults.AnyStatus),
        st.sampled_from(
            (
                RateLimit(),
                faults.NotJson(),
                faults.Redirect(ELSEWHERE),
                faults.Oversize(),
                faults.Compressed(),
                faults.Reset(),
                faults.Hang(),
                faults.Slow(),
                faults.Drip(),
                OpaqueTokens(),
                AnotherDid(),
                AnotherHandle(),
                AnotherEndpoint(),
            )
        ),
    )
    refused = st.sampled_from(METHODS[2:])
    return st.one_of(
        st.tuples(anywhere, st.sampled_from(METHODS)),
        st.tuples(st.just(faults.AnyStatus(401)), refused),
    )
