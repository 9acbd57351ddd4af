"""Bluesky's card: its description for callers, and the form for its credentials."""

from service.domain.model import (
    AuthMethod,
    CredentialField,
    FieldKind,
    InvalidCredentialsCause,
    PlatformCard,
)

HELP_URL = "https://bsky.app/settings/app-passwords"

CARD = PlatformCard(
    "bluesky",
    "Bluesky",
    AuthMethod.CREDENTIALS,
    fields=(
        CredentialField(
            "handle",
            "Bluesky handle",
            placeholder="user.bsky.social",
            pattern=r"^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+"
            r"[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$",
            kind=FieldKind.HANDLE,
            help="The full handle with its domain: user.bsky.social, or a domain of your own.",
            fault="is not a full handle, such as user.bsky.social",
            malformed=InvalidCredentialsCause.MALFORMED_HANDLE,
        ),
        CredentialField(
            "appPassword",
            "App password",
            placeholder="xxxx-xxxx-xxxx-xxxx",
            pattern=r"^[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}$",
            kind=FieldKind.SECRET,
            help="For security: this is not your main password, and you can revoke it anytime in "
            "your Bluesky settings.",
            fault="is not of the form xxxx-xxxx-xxxx-xxxx",
            malformed=InvalidCredentialsCause.MALFORMED_APP_PASSWORD,
        ),
    ),
    help_url=HELP_URL,
    instructions=(
        "Open bsky.app/settings/app-passwords in your Bluesky settings.",
        'Click "Add App Password".',
        "Name it after this app, so that you remember what it is for.",
        "Copy the generated password immediately: it won't be shown again.",
        "Enter your handle, including its domain, and the app password here.",
    ),
)
