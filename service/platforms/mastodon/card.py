"""Mastodon's card: its description for callers, and the form for its credentials."""

from service.domain.model import (
    AuthMethod,
    CredentialField,
    FieldKind,
    InvalidCredentialsCause,
    Lent,
    PlatformCard,
)

CARD = PlatformCard(
    "mastodon",
    "Mastodon",
    AuthMethod.CREDENTIALS,
    fields=(
        CredentialField(
            "handle",
            "Mastodon handle",
            placeholder="@alice@example.social",
            pattern=r"^@?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"
            r"@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?$",
            kind=FieldKind.HANDLE,
            help="The full handle with its server: @alice@example.social.",
            fault="is not a full handle, such as @alice@example.social",
            malformed=InvalidCredentialsCause.MALFORMED_HANDLE,
        ),
        CredentialField(
            "accessToken",
            "Access token",
            pattern=r"^[\x21-\x7e]{20,512}$",
            kind=FieldKind.SECRET,
            help="For security: this is not your password, and you can revoke it anytime in your "
            "server's settings.",
            fault="is not an access token: 20 to 512 characters without spaces",
        ),
    ),
    instructions=(
        "On your server, open Preferences > Development and click New application.",
        "Name it after this app, so that you remember what it is for.",
        "Select the scopes profile (on older servers read:accounts), write:statuses and "
        "write:media, and submit.",
        'Open the application and copy "Your access token".',
        "Enter your full handle and the access token here.",
        "On GoToSocial and Pixelfed, applications are in Settings > Applications.",
    ),
    lends=Lent.CREDENTIAL,
    refusals_for_proof=2,
)
