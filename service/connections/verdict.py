"""The verdict: what a check's result changes in the connection."""

from service.connections.check_results import CheckResult
from service.connections.checks import Check
from service.connections.schedule import Schedule
from service.domain.model import Connection, ConnectionState, EventKind, Micros
from service.domain.records import VerdictWrite


def apply_result(
    check: Check, result: CheckResult, schedule: Schedule, now: Micros
) -> VerdictWrite:
    """Return what *result* changes in the connection, with its events and its new session."""
    before = check.held.connection
    upkeep = check.upkeep._replace(checked_at=now)
    if result.doubt and result.is_unchanged:
        state = ConnectionState.BROKEN if before.needs_reconnect else ConnectionState.UNVERIFIED
        after = before._replace(state=state, next_check_at=now + result.again_in)
    elif result.doubt:
        # an outage does not disprove what was proved before
        doubts = upkeep.doubts
        if doubts == check.held.upkeep.doubts:
            # a login has not counted it
            doubts = schedule.doubts(now, check.upkeep.checked_at, doubts)
        upkeep = upkeep._replace(doubts=doubts)
        after = before._replace(
            state=ConnectionState.UNVERIFIED,
            next_check_at=schedule.after_doubt(now, doubts, result.again_in),
        )
    elif result.reason is not None:
        upkeep = upkeep._replace(doubts=0)
        after = before._replace(
            state=ConnectionState.BROKEN,
            reconnect_reason=result.reason,
            last_verified_at=now,
            next_check_at=schedule.after_break(now, result.reason, upkeep.login_after),
        )
    else:
        upkeep = upkeep._replace(doubts=0, rejections=0)
        if check.is_refreshed:
            # a login proves the password, not that its session will last
            upkeep = upkeep._replace(answered_logins=0, login_after=None)
        after = before._replace(
            state=ConnectionState.HEALTHY,
            reconnect_reason=None,
            last_verified_at=now,
            next_check_at=schedule.after_proof(now),
        )
    after = after._replace(
        username=check.username,
        display_name=check.username
        if before.display_name == before.username
        else before.display_name,
    )
    return VerdictWrite(after, upkeep, _events(before, after), now, check.unsaved)


def _events(before: Connection, after: Connection) -> tuple[EventKind, ...]:
    kinds = []
    if (before.state, before.reconnect_reason) != (after.state, after.reconnect_reason):
        if after.state is ConnectionState.HEALTHY:
            kinds.append(EventKind.RECOVERED if before.needs_reconnect else EventKind.HEALTHY)
        else:
            kinds.append(EventKind(after.state.value))
    if before.username != after.username:
        kinds.append(EventKind.HANDLE_CHANGED)
    return tuple(kinds)
