"""Messages: what the public library accepts, and what it rejects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from service.domain.clock import SystemClock
from service.domain.model import NEVER, SECOND
from service.events.webhooks import backoff, messages
from service.events.webhooks.secrets import check_secret, new_secret

MINUTE = 60 * SECOND


def now() -> int:
    return SystemClock().now()


@given(st.text(max_size=50), st.dictionaries(st.text(), st.text(), max_size=3))
def test_every_message_is_verified(name: str, data: dict[str, str]) -> None:
    """With any text in it, by either of two secrets."""
    first, second = new_secret(), new_secret()
    text = messages.body(name, now(), data)
    headers = messages.headers([first, second], "msg_a_1", now(), text)
    for secret in (first, second):
        assert Webhook(secret).verify(text, headers)["data"] == data
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(text, headers)


def test_an_old_message_is_rejected() -> None:
    """One that was recorded; and a new time does not fit its signature."""
    secret = new_secret()
    text = messages.body("connection.broken", now(), {})
    old = messages.headers([secret], "msg_a_1", now() - 6 * MINUTE, text)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(text, old)
    fresh = {**old, "webhook-timestamp": str(now() // SECOND)}
    with pytest.raises(WebhookVerificationError, match="signature"):
        Webhook(secret).verify(text, fresh)


@pytest.mark.parametrize("changed", ["webhook-id", "body"])
def test_a_changed_message_is_rejected(changed: str) -> None:
    """Id and body are signed."""
    secret = new_secret()
    text = messages.body("connection.broken", now(), {})
    headers = messages.headers([secret], "msg_a_1", now(), text)
    if changed == "body":
        text = text.replace("broken", "tested")
    else:
        headers[changed] = "msg_a_2"
    with pytest.raises(WebhookVerificationError, match="signature"):
        Webhook(secret).verify(text, headers)


def test_a_new_secret_has_the_form_of_one() -> None:
    """32 random bytes, never twice."""
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        check_secret(secret)


@given(st.integers(0, NEVER))
def test_times_are_exact(at: int) -> None:
    """To the microsecond, as the contract's JSON form has them."""
    text = messages.time_text(at)
    assert len(text) == len("2026-01-02T03:04:05.678901Z")
    assert int(text[-7:-1]) == at % SECOND
    assert json.loads(messages.body("x", at, {}))["timestamp"] == text


def test_retries_take_three_days() -> None:
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h and so on, each up to a tenth shorter."""
    at = 0
    waits: list[float] = []
    while at < 3 * 24 * 3600 * SECOND:
        then = backoff.next_try(len(waits) + 1, at)
        waits.append((then - at) / SECOND)
        at = then
    expected = [5, 300, 1800, 7200, 18_000, *[36_000] * 9]
    for wait, longest in zip(waits, expected, strict=False):
        assert 0.9 * longest <= wait <= longest
    assert 10 <= len(waits) <= 14


def test_pauses_grow_to_an_hour() -> None:
    """None before the third failure."""
    assert [backoff.resume_at(failures, 7) for failures in (1, 2)] == [7, 7]
    longest = backoff.resume_at(100, 0)
    assert 0.9 * 3600 * SECOND <= longest <= 3600 * SECOND
