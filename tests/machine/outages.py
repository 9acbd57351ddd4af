"""Outages: all that can be answered instead of the truth, and that proves nothing."""

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

LATE = (faults.Hang, faults.Slow, faults.Drip)
"""Those that a deadline has to end."""
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
    """A fault, and the method that it is put in force for.

    A 401 in the words of XRPC is left out where a login asks: there it is proof, be it a lie.
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
