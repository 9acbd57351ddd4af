"""Ghost's card: its description for callers, and the form for its credentials."""

from service.domain.model import AuthMethod, CredentialField, FieldKind, PlatformCard

CARD = PlatformCard(
    "ghost",
    "Ghost",
    AuthMethod.CREDENTIALS,
    fields=(
        CredentialField(
            "site",
            "Site address",
            placeholder="https://example.com",
            pattern=r"^([hH][tT][tT][pP][sS]?://)?[^\x00-\x20/?#@:]{1,253}(:[0-9]{1,5})?"
            r"([/?#][^\x00-\x20]*)?$",
            kind=FieldKind.URL,
            help="The address of your site's front page, or the one that its dashboard opens at. "
            "If Ghost is in a folder, with the folder: example.com/blog.",
            fault="is not the address of a site, such as https://example.com/blog",
        ),
        CredentialField(
            "apiKey",
            "Admin API key",
            placeholder="24 digits and letters, a colon, 64 more",
            pattern=r"^[0-9a-fA-F]{24}:[0-9a-fA-F]{64}$",
            kind=FieldKind.SECRET,
            help="For security: the key is never sent anywhere, it only signs requests to your "
            "site. You can regenerate it, or delete the integration, anytime.",
            fault="is not an Admin API key: 24 hexadecimal digits, a colon and 64 more",
        ),
    ),
    instructions=(
        "Open your site's dashboard and go to Settings > Advanced > Integrations.",
        'Click "Add custom integration".',
        "Name it after this app, so that you remember what it is for.",
        "Copy the Admin API key, which is the longer one, and not the Content API key.",
        "Enter the address of your site and the Admin API key here.",
    ),
)
