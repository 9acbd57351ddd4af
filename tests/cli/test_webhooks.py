"""`postcore webhooks …`: each command, beside a service that is not running."""

import re

import pytest

from service.domain.model import SECOND
from tests.cli.conftest import empty_home, home
from tests.cli.home import Home
from tests.support.engines import rows

__all__ = ["empty_home", "home"]

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]  # each command is a process
URL = "https://hooks.example.com/in"


def test_a_webhooks_life(home: Home) -> None:
    """Created, listed, rotated, replayed, enabled, deleted; each change leaves a row of the audit
    trail, and the secret is printed once."""
    tenant = home.run("tenants", "create", "test").out.strip()
    here = ("--tenant", tenant)
    created = home.run("webhooks", "create", *here, "--url", URL, "--event", "connection.broken")
    found = re.fullmatch(r"(wh_[a-z0-9]{16})\t(whsec_[A-Za-z0-9+/]{43}=)\n", created.out)
    assert found, created.err
    webhook_id, secret = found.groups()
    listed = home.run("webhooks", "list", *here).out
    assert re.fullmatch(rf"{webhook_id}\tenabled\t\S+\tconnection.broken\t{URL}\n", listed)
    rotated = home.run("webhooks", "rotate", *here, webhook_id).out.strip()
    assert rotated.startswith("whsec_")
    assert rotated != secret
    replay = home.run("webhooks", "replay", *here, webhook_id, "--since", "2026-01-02T03:04:05Z")
    assert replay.out == "0\n"
    assert home.run("webhooks", "enable", *here, webhook_id).code == 0
    assert home.run("webhooks", "failed", *here, webhook_id).out == ""
    assert home.run("webhooks", "delete", *here, webhook_id).code == 0
    assert home.run("webhooks", "list", *here).out == ""
    audit = home.run("audit", *here).out
    for command in ("create", "rotate", "replay", "enable", "delete"):
        assert f'"webhooks {command}"' in audit
    assert webhook_id in audit
    assert secret not in audit


def test_what_is_wrong_is_one_sentence(home: Home) -> None:
    """A URL inside the network, an unknown type, webhook or tenant; the exit code is 1."""
    tenant = home.run("tenants", "create", "test").out.strip()
    here = ("--tenant", tenant)
    for arguments, sentence in (
        (("create", *here, "--url", "https://10.0.0.1/"), "url must be https"),
        (("create", *here, "--url", URL, "--event", "x"), "eventTypes must be of"),
        (("create", "--tenant", "ten_none", "--url", URL), "no such tenant"),
        (("test", *here, "wh_0123456789abcdef"), "Webhook not found"),
        (("delete", *here, "wh_0123456789abcdef"), "Webhook not found"),
        (("replay", *here, "wh_0123456789abcdef"), "exactly one of messageId and since"),
    ):
        ended = home.run("webhooks", *arguments)
        assert (ended.code, ended.out) == (1, ""), ended
        assert sentence in ended.err
        assert len(ended.err.strip().splitlines()) == 1


def test_failed_messages_are_listed(home: Home) -> None:
    """Each with its cause."""
    tenant = home.run("tenants", "create", "test").out.strip()
    here = ("--tenant", tenant)
    webhook_id = home.run("webhooks", "create", *here, "--url", URL).out.split()[0]
    rows(
        home.settings().database_url,
        "INSERT INTO webhook_deliveries (webhook_id, message_id, number, profile_key, event_type,"
        " attempts, next_at, cause, http_status, failed_at)"
        " VALUES (?, 'msg_a_1', 1, 'prof_a', 'connection.broken', 9, 0, 'HTTP_STATUS', 500, ?)",
        *(webhook_id, 1_760_000_000 * SECOND),
    )
    listed = home.run("webhooks", "failed", *here, webhook_id).out
    assert listed == (
        "msg_a_1\tconnection.broken\tprof_a\t9\t2025-10-09T08:53:20+00:00\tHTTP_STATUS 500\n"
    )
