"""WordPress's card: its description for callers, and the form for its credentials."""

from service.domain.model import AuthMethod, CredentialField, FieldKind, PlatformCard

CARD = PlatformCard(
    "wordpress",
    "WordPress",
    AuthMethod.CREDENTIALS,
    fields=(
        CredentialField(
            "site",
            "Site address",
            placeholder="https://example.com",
            pattern=r"^([hH][tT][tT][pP][sS]?://)?[^\x00-\x20/?#@:]{1,253}(:[0-9]{1,5})?"
            r"([/?#][^\x00-\x20]*)?$",
            kind=FieldKind.URL,
            help="The address of your site's front page. If WordPress is in a folder, with the "
            "folder: example.com/blog.",
            fault="is not the address of a site, such as https://example.com/blog",
        ),
        CredentialField(
            "username",
            "Username",
            placeholder="alice",
            pattern=r"^[^:<>\x00-\x1f\x7f]{1,100}$",
            kind=FieldKind.USERNAME,
            help="The username or e-mail address that you log in to your site with. A user of the "
            "role Author can publish, and change no settings.",
            fault="is not the username or e-mail address of a WordPress user",
        ),
        CredentialField(
            "appPassword",
            "Application password",
            placeholder="xxxx xxxx xxxx xxxx xxxx xxxx",
            pattern=r"^([A-Za-z0-9] ?){24}$",
            kind=FieldKind.SECRET,
            help="For security: this is not your main password, and you can revoke it anytime in "
            "your profile on the site.",
            fault="is not an application password: 24 letters and digits in six groups",
        ),
    ),
    instructions=(
        "Log in to your site's dashboard and open Users > Profile.",
        "Scroll to Application Passwords.",
        "Enter the name of this app, so that you remember what it is for, and click "
        '"Add New Application Password".',
        "Copy the generated password immediately: it won't be shown again.",
        "Enter the address of your site, your username and the application password here.",
    ),
    refusals_for_proof=2,
    max_logins=(3, 20),
    # a common plugin locks an address out after four
    max_rejections=3,
)
