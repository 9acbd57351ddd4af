"""What a call's row of the audit trail takes from its request and its connection."""

from google.protobuf.message import Message

from service.domain import audit
from service.domain.names import PROFILE_KEY, WEBHOOK_ID
from service.transport.grpc.messages import Context

MAX_NAME_CHARACTERS = 200


def name_request(message: Message) -> None:
    """Note what *message* names: profile, platform, webhook; for the row of a refused call."""
    call = audit.current()
    if call is None:
        return
    key = getattr(message, "profile_key", "")
    call.profile_key = key if PROFILE_KEY.fullmatch(key) else ""
    call.platform = getattr(message, "platform", "")
    webhook_id = getattr(message, "webhook_id", "")
    call.account_id = webhook_id if WEBHOOK_ID.fullmatch(webhook_id) else ""


def grpc_peer(context: Context) -> str:
    """Return the name in the caller's certificate, or else its address.

    The name has no unprintable characters, which a database or a terminal may reject.
    """
    for name in context.auth_context().get("x509_common_name", ()):
        text = name.decode(errors="replace")[:MAX_NAME_CHARACTERS]
        return "certificate:" + "".join(one if one.isprintable() else "?" for one in text)
    return context.peer()
