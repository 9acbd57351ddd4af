"""Schedule: when the next check is due after each result."""

from service.connections.schedule import DOUBT_WAIT, HOUR, Schedule
from service.domain.model import SECOND, Micros, ReconnectReason

NOW: Micros = 1_800_000_000 * SECOND
SCHEDULE = Schedule(6 * HOUR)


def in_hours(at: Micros) -> float:
    return (at - NOW) / HOUR


def test_a_healthy_connection_is_checked_after_an_interval() -> None:
    """A jitter of a tenth of the interval spreads connections that were checked together."""
    waits = {in_hours(SCHEDULE.after_proof(NOW)) for _ in range(100)}
    assert all(5.4 <= wait <= 6.6 for wait in waits)
    assert len(waits) > 50


def test_checks_after_a_doubt_start_soon_and_back_off() -> None:
    """The wait doubles up to the interval, and is never shorter than a given minimum."""
    waits = [SCHEDULE.after_doubt(NOW, doubts) - NOW for doubts in (1, 2, 3, 30)]
    for wait, about in zip(
        waits, (DOUBT_WAIT, 2 * DOUBT_WAIT, 4 * DOUBT_WAIT, 6 * HOUR), strict=True
    ):
        assert 0.9 * about <= wait <= 1.1 * about
    assert SCHEDULE.after_doubt(NOW, 1, 3 * HOUR) == NOW + 3 * HOUR


def test_a_rejected_password_backs_off() -> None:
    """It waits 1, 6 and then 24 hours; the connection is checked when the wait is over."""
    waits = [in_hours(SCHEDULE.login_after_rejection(NOW, logins)) for logins in (1, 2, 3, 4)]
    assert waits == [1, 6, 24, 24]
    for wait in (HOUR, 24 * HOUR):
        due = SCHEDULE.after_break(NOW, ReconnectReason.APP_PASSWORD_REVOKED, NOW + wait)
        assert due == NOW + wait


def test_an_inactive_account_is_checked_every_interval() -> None:
    """A longer backoff of its password does not delay the check, which can find the end without a
    login."""
    for login_after in (NOW + HOUR, NOW + 24 * HOUR):
        due = SCHEDULE.after_break(NOW, ReconnectReason.ACCOUNT_SUSPENDED, login_after)
        assert due <= min(login_after, NOW + 7 * HOUR)


def test_a_wait_that_is_over_does_not_make_a_check_due_at_once() -> None:
    """An account that is deleted, or closed after its password was rejected, is checked once an
    interval: that needs no login."""
    for login_after in (None, NOW, NOW - HOUR):
        due = SCHEDULE.after_break(NOW, ReconnectReason.ACCOUNT_DELETED, login_after)
        assert 5.4 <= in_hours(due) <= 6.6


def test_doubts_of_impatient_callers_do_not_count() -> None:
    """A check counts as a doubt only when its wait is nearly over, or if its time is in the future:
    the clock has been set back since."""
    assert SCHEDULE.doubts(NOW, None, 0) == SCHEDULE.doubts(NOW, NOW - 1, 0) == 1
    for doubts, wait in ((1, DOUBT_WAIT), (2, 2 * DOUBT_WAIT), (3, 4 * DOUBT_WAIT), (30, 6 * HOUR)):
        assert SCHEDULE.doubts(NOW, NOW - int(0.89 * wait), doubts) == doubts
        assert SCHEDULE.doubts(NOW, NOW - int(0.91 * wait), doubts) == doubts + 1
        assert SCHEDULE.doubts(NOW, NOW + SECOND, doubts) == doubts + 1


def test_successful_logins_back_off_after_the_first() -> None:
    """By 5 and 15 minutes, 1, 6 and then 24 hours, as long as no refresh succeeds."""
    waits = [SCHEDULE.login_after_success(NOW, earlier) for earlier in range(7)]
    hours = (5 / 60, 15 / 60, 1, 6, 24, 24)
    assert waits == [None, *(NOW + int(each * HOUR) for each in hours)]


def test_a_login_without_a_result_backs_off() -> None:
    """By five minutes, doubled each time, up to an hour."""
    waits = [SCHEDULE.login_after_outage(NOW, doubts) - NOW for doubts in (1, 2, 3, 4, 5, 30)]
    assert waits == [DOUBT_WAIT, 2 * DOUBT_WAIT, 4 * DOUBT_WAIT, 8 * DOUBT_WAIT, HOUR, HOUR]


def test_a_password_backs_off_a_day_at_most() -> None:
    """A later time is ignored: the clock has been set back since."""
    waits = [SCHEDULE.login_wait(NOW, after) for after in (None, NOW - 1, NOW, NOW + HOUR)]
    assert waits == [0, 0, 0, HOUR]
    assert SCHEDULE.login_wait(NOW, NOW + 24 * HOUR) == 24 * HOUR
    assert SCHEDULE.login_wait(NOW, NOW + 24 * HOUR + 1) == 0
