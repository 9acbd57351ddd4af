"""The commands `postcore client …`: calls of the contract, for those who have no client.

No argument holds a secret, nothing is stored, and no setting of the service is needed.
"""

import asyncio

import click

from postcore.profiles.v1 import platform_service_pb2 as platforms_pb
from postcore.profiles.v1 import profile_service_pb2 as pb
from postcore.profiles.v1 import session_service_pb2 as sessions_pb
from service.cli.client_failure import Failure, Kind
from service.cli.client_input import fields_of_argument, line_of_secret, line_of_text, printable
from service.cli.client_output import show, show_line, until_output_closes
from service.cli.client_service import Service, Stubs, calls

CONNECT_SECONDS = 30.0
"""A connect asks up to four servers, and takes 15 s at most."""
SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""A watch has a message at least every 30 s."""
PAGE_SIZE = 100

PROFILE_KEY = click.argument("profile_key", callback=printable)
PLATFORM = click.argument("platform", callback=printable)

client = click.Group("client")


@client.command()
@PLATFORM
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...", callback=fields_of_argument)
@click.option("--profile-key", callback=printable, help="The profile; default: a new one.")
@click.option("--idempotency-key", callback=printable, help="Makes the call safe to repeat.")
@click.option("--secret-stdin", is_flag=True, help="Read the secret from standard input, a line.")
@calls(CONNECT_SECONDS)
def connect(
    service: Service,
    platform: str,
    fields: dict[str, str],
    profile_key: str | None,
    idempotency_key: str | None,
    secret_stdin: bool,
) -> None:
    """Connect an account.

    FIELD=VALUE states what the platform asks for, such as handle=…, except for the secret. That is
    read without echo, or from standard input.
    """
    request = pb.ConnectProfileRequest(
        profile_key=profile_key, platform=platform, idempotency_key=idempotency_key or ""
    )
    for name, value in fields.items():
        setattr(request.credentials, name, value)
    listed = service.call(
        lambda stubs: stubs.platforms.ListPlatforms, platforms_pb.ListPlatformsRequest()
    )
    for each in listed.platforms:
        if each.id == platform:
            _complete(request.credentials, each, from_stdin=secret_stdin)
    show(service.call(lambda stubs: stubs.profiles.ConnectProfile, request))


def _complete(
    credentials: pb.Credentials, platform: platforms_pb.Platform, *, from_stdin: bool
) -> None:
    """Ask for the fields of *platform* that *credentials* lack."""
    known = {field.json_name: field.name for field in pb.Credentials.DESCRIPTOR.fields}
    for field in platform.fields:
        if field.name not in known:
            raise Failure(Kind.OTHER, f"{field.label}: use a newer version of this command")
        name = known[field.name]
        if field.secret:
            setattr(credentials, name, line_of_secret(field.label, from_stdin=from_stdin))
        elif not getattr(credentials, name):
            setattr(credentials, name, line_of_text(field.name, field.label))


@client.command()
@PROFILE_KEY
@calls(SECONDS)
def get(service: Service, profile_key: str) -> None:
    """Print a profile with its connections."""
    request = pb.GetProfileRequest(profile_key=profile_key)
    show(service.call(lambda stubs: stubs.profiles.GetProfile, request).profile)


@client.command("list")
@click.option("--needs-reconnect-only", is_flag=True, help="Those with a broken connection only.")
@calls(SECONDS)
def list_profiles(service: Service, needs_reconnect_only: bool) -> None:
    """Print all profiles, each on a line.

    Reads page after page; --timeout is for each.
    """

    async def work(stubs: Stubs) -> None:
        request = pb.ListProfilesRequest(
            page_size=PAGE_SIZE, needs_reconnect_only=needs_reconnect_only
        )
        while True:
            page = await service.answer(stubs.profiles.ListProfiles, request)
            for profile in page.profiles:
                show_line(profile)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    service.run(work)


@client.command()
@click.option("--cursor", callback=printable, help="Go on after the line with this cursor.")
@click.option("--from-oldest", is_flag=True, help="Begin at the oldest event kept, not now.")
@calls(None)
def watch(service: Service, cursor: str | None, from_oldest: bool) -> None:
    """Print changes to connections as they happen.

    Each line is one message: events, and the cursor after them. Ends at Ctrl+C, when the reader of
    standard output ends, or when the service stops: go on with the last line's cursor.
    """
    request = pb.WatchConnectionsRequest(cursor=cursor or "", from_oldest=from_oldest)
    latest = ""

    async def work(stubs: Stubs) -> None:
        nonlocal latest
        messages = aiter(stubs.profiles.WatchConnections(request, metadata=service.metadata))
        async with until_output_closes():
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    message = await anext(messages, None)
                if message is None:
                    return
                show_line(message)
                latest = message.cursor

    try:
        service.run(work)
        failure = Failure(Kind.UNAVAILABLE, "the service has ended the watch")
    except TimeoutError:
        failure = Failure(Kind.UNAVAILABLE, f"no message came in {SILENCE_SECONDS:.0f} s")
    except Failure as refused:
        failure = refused
    if latest:
        failure = failure.with_line(f"go on with: postcore client watch --cursor {latest}")
    raise failure


@client.command()
@PROFILE_KEY
@PLATFORM
@click.option("--rejected-stdin", is_flag=True, help="Read a rejected access token, a line.")
@calls(SECONDS)
def lease(service: Service, profile_key: str, platform: str, rejected_stdin: bool) -> None:
    """Print an access token for an account.

    It is a secret: use the output, and keep it nowhere. --rejected-stdin reads, from standard
    input, a token of an earlier lease that the account's server has rejected.
    """
    rejected = line_of_secret("Rejected access token", from_stdin=True) if rejected_stdin else ""
    request = sessions_pb.LeaseSessionRequest(
        profile_key=profile_key, platform=platform, rejected_access_token=rejected
    )
    show(service.call(lambda stubs: stubs.sessions.LeaseSession, request))


@client.command()
@PROFILE_KEY
@PLATFORM
@calls(CONNECT_SECONDS)
def verify(service: Service, profile_key: str, platform: str) -> None:
    """Check a connection now, and print it.

    A check may spend a login.
    """
    request = pb.VerifyConnectionRequest(profile_key=profile_key, platform=platform)
    show(service.call(lambda stubs: stubs.profiles.VerifyConnection, request).connection)
