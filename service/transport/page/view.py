"""The views of the page: what each shows, in the reader's words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from service.connections.links import OpenedLink
from service.domain.errors import InvalidCredentials, InvalidRequest, ServiceError, camel_case
from service.domain.links import way_back
from service.domain.model import (
    SECOND,
    Connection,
    CredentialField,
    FieldKind,
    InvalidCredentialsCause,
    PlatformCard,
)
from service.transport.page.words import Words
from service.transport.status import STATUS

Values = dict[str, Any]
INPUT_MODES = {FieldKind.URL: "url", FieldKind.HANDLE: "email"}
MALFORMED = frozenset(
    {
        InvalidCredentialsCause.MALFORMED_HANDLE,
        InvalidCredentialsCause.MALFORMED_APP_PASSWORD,
        InvalidCredentialsCause.MALFORMED_FIELD,
    }
)
MESSAGE = "postcore.connected"
"""The `type` of the message to the window that opened or frames the page."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a try failed. *field*: the JSON name of the field at fault, or empty."""

    title: str
    text: str
    field: str = ""


def ended(words: Words, state: str, app: str = "") -> Values:
    """Return the view of a link that cannot be used."""
    return {
        "view": "ended",
        "title": words(state, "ended"),
        "text": words(f"{state}_text", "ended", app=app),
    }


def done(words: Words, opened: OpenedLink, card: PlatformCard) -> Values:
    """Return the view of a link that has connected an account."""
    link = opened.link
    connection = opened.connection(link.platform)
    username = connection.username if connection else ""
    said = {
        "type": MESSAGE,
        "profileKey": link.profile_key,
        "platform": link.platform,
        "username": username,
        "state": link.state,
    }
    return {
        "view": "done",
        "title": words("done"),
        "text": words(
            "done_text", app=link.app_name, username=username, platform=card.display_name
        ),
        "back": way_back(link),
        "message": json.dumps(said),
    }


def choose(words: Words, opened: OpenedLink, cards: Mapping[str, PlatformCard]) -> Values:
    """Return the view where a person chooses a platform."""
    title = words("asks_any", app=opened.link.app_name)
    return {"view": "choose", "title": title, "cards": list(cards.values())}


def form(
    words: Words,
    opened: OpenedLink,
    card: PlatformCard,
    typed: Mapping[str, str],
    problem: Problem | None = None,
) -> Values:
    """Return the view with the form of *card*. Of *typed*, no secret is shown again."""
    link = opened.link
    connection = opened.connection(card.platform)
    [secret, *_] = [each.label for each in card.fields if each.secret] or [""]
    return {
        "view": "form",
        "title": words("asks", app=link.app_name, platform=card.display_name),
        "card": card,
        "secret": words.of_card(secret).text,
        "again": _again(words, connection) if connection else "",
        "fields": [
            _field(words, each, typed, problem)
            | {"value": _shown_again(card, each, typed, connection)}
            for each in card.fields
        ],
        "problem": problem,
    }


def problem_of(
    words: Words, opened: OpenedLink, card: PlatformCard, error: ServiceError
) -> Problem:
    """Return what *error* means for the person who tried."""
    name, field = STATUS[type(error)].name, ""
    if isinstance(error, InvalidCredentials):
        name = "MALFORMED" if error.cause in MALFORMED else error.cause.value
    elif isinstance(error, InvalidRequest):
        name = "MALFORMED"
    if error.fields:
        field = camel_case(error.fields[0].path).removeprefix("credentials.")
    if not words.has(name, "problem"):
        name = "other"
    values = {
        "app": opened.link.app_name,
        "platform": card.display_name,
        "secret": next((words.of_card(each.label).text for each in card.fields if each.secret), ""),
        "minutes": str(ceil((error.retry_after or 60) / 60)),
    }
    return Problem(
        words(name, "problem", **values), words(f"{name}_text", "problem", **values), field
    )


def _again(words: Words, connection: Connection) -> str:
    name = "HEALTHY"
    if connection.reconnect_reason is not None:
        name = connection.reconnect_reason.value
        name = name if words.has(name, "again") else "other"
    at = datetime.fromtimestamp(connection.last_verified_at / SECOND, UTC)
    return words(name, "again", username=connection.username, date=at.strftime(words("date")))


def _field(
    words: Words,
    field: CredentialField,
    typed: Mapping[str, str],
    problem: Problem | None,
) -> Values:
    label = words.of_card(field.label).text
    fault = words("malformed", fault=field.fault, example=field.placeholder or field.pattern)
    missing = words("missing", label=label)
    error = ""
    if problem is not None and problem.field == field.name:
        error = fault if typed.get(field.name) else missing
    return {
        "id": f"field-{field.name}",
        "name": field.name,
        "label": field.label,
        "help": field.help,
        "placeholder": field.placeholder,
        "pattern": field.pattern,
        "type": "password" if field.secret else "text",
        "autocomplete": _autocomplete(field),
        "inputmode": INPUT_MODES.get(field.kind, ""),
        "fault": fault,
        "unknown": words("HANDLE_NOT_FOUND", "problem") if field.kind is FieldKind.HANDLE else "",
        "missing": missing,
        "error": error,
    }


def _shown_again(
    card: PlatformCard,
    field: CredentialField,
    typed: Mapping[str, str],
    connection: Connection | None,
) -> str:
    """Return what the field holds when the form is shown: nothing that may be a secret, in
    whichever field it was typed."""
    if field.secret:
        return ""
    if not typed and connection and field.kind is FieldKind.HANDLE:
        return connection.username
    value = typed.get(field.name, "")
    secrets = [each for each in card.fields if each.secret]
    if any(secret in value for each in secrets if (secret := typed.get(each.name, "").strip())):
        return ""
    looks_secret = any(re.search(each.pattern, value.strip()) for each in secrets)
    return "" if looks_secret and not re.search(field.pattern, value.strip()) else value


def _autocomplete(field: CredentialField) -> str:
    if field.secret:
        return "current-password"
    return "url" if field.kind is FieldKind.URL else "username"
