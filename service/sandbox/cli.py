"""The commands `postcore sandbox …`: each sends requests to the sandbox that runs here."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from service.sandbox.accounts import CHANGES
from service.sandbox.faults import FAULTS, Fault, settings_of
from service.sandbox.remote import NoSandbox, Refused, Remote

ACCOUNT = click.argument("account")
FROM_INPUT = click.option(
    "--password-stdin", is_flag=True, help="Read it from standard input instead of generating it."
)

sandbox = click.Group("sandbox")


def ask(verb: str, *path: str, **given: object) -> dict[str, Any]:
    """Send a request to the running sandbox; on failure, exit with a sentence and code 1."""
    # read late, so that help needs no settings
    address: Callable[[], str] = click.get_current_context().obj
    try:
        return Remote(address()).ask(verb, *path, **given)
    except (NoSandbox, Refused) as error:
        raise click.ClickException(str(error)) from None


def report(sentence: str) -> None:
    click.echo(sentence, err=True)


def from_input(is_wanted: bool) -> str | None:
    """Return the next line of standard input, if *is_wanted*; exit if it is empty."""
    if not is_wanted:
        return None
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise click.ClickException("standard input holds no password")
    return line


@sandbox.group()
def accounts() -> None:
    """The accounts at both servers."""


@accounts.command("list")
def list_accounts() -> None:
    """List them: handle, status, main password, app passwords by name, server, DID."""
    for each in ask("GET", "accounts")["accounts"]:
        app_passwords = (f"{one['name']}={one['password']}" for one in each["appPasswords"])
        status = "tombstoned" if each["tombstoned"] else each["status"]
        fields = (
            each["handle"],
            status,
            each["password"],
            ",".join(app_passwords),
            each["server"],
            each["did"],
        )
        click.echo("\t".join(fields))


@accounts.command("create")
@click.argument("handle")
@click.option("--email", help="Default: made of the handle.")
@click.option("--password-stdin", is_flag=True, help="Read the main password, a line, from input.")
@click.option("--app-password-stdin", is_flag=True, help="Read the app password, the next line.")
def create_account(
    handle: str, email: str | None, password_stdin: bool, app_password_stdin: bool
) -> None:
    """Create an account; prints its app password."""
    password, app_password = from_input(password_stdin), from_input(app_password_stdin)
    made = ask(
        "POST",
        "accounts",
        handle=handle,
        email=email,
        password=password,
        appPassword=app_password,
    )
    report(f"made {made['handle']}, {made['did']}; its main password is {made['password']}")
    click.echo(made["appPasswords"][0]["password"])


@accounts.command("delete")
@ACCOUNT
def delete_account(account: str) -> None:
    """Delete an account; the directory keeps its document."""
    ask("DELETE", "accounts", account)
    report(f"deleted {account}")


@sandbox.group("app-passwords")
def app_passwords() -> None:
    """The app passwords of an account."""


@app_passwords.command("create")
@ACCOUNT
@click.option("--name", help="Default: sandbox, or the first of sandbox-1, -2 … that is free.")
@click.option("--privileged", is_flag=True, help="With access to direct messages.")
@FROM_INPUT
def create_app_password(
    account: str, name: str | None, privileged: bool, password_stdin: bool
) -> None:
    """Create an app password; prints it."""
    made = ask(
        "POST",
        "accounts",
        account,
        "app-passwords",
        name=name,
        privileged=privileged,
        password=from_input(password_stdin),
    )
    report(f"made the app password {made['name']} of {account}")
    click.echo(made["password"])


@app_passwords.command("revoke")
@ACCOUNT
@click.argument("name", default="sandbox")
def revoke_app_password(account: str, name: str) -> None:
    """Revoke an app password by its name (default: sandbox), which ends its sessions."""
    ask("DELETE", "accounts", account, "app-passwords", name)
    report(f"revoked the app password {name} of {account}")


@sandbox.command("change-password")
@ACCOUNT
@FROM_INPUT
def change_password(account: str, password_stdin: bool) -> None:
    """Change an account's main password, which ends every session; prints the new one."""
    given = from_input(password_stdin)
    click.echo(ask("POST", "accounts", account, "change-password", password=given)["password"])


@sandbox.command()
@ACCOUNT
@click.argument("handle")
def rename(account: str, handle: str) -> None:
    """Change the handle of an account, at its server and in the directory."""
    renamed = ask("POST", "accounts", account, "rename", handle=handle)
    report(f"{account} is now {renamed['handle']}")


def _change(change: str) -> click.Command:
    def run(account: str) -> None:
        changed = ask("POST", "accounts", account, change)
        if change == "migrate":
            report(f"{changed['handle']} moved; its app passwords stayed behind")
            click.echo(changed["server"])
        else:
            status = "tombstoned" if changed["tombstoned"] else changed["status"]
            report(f"{changed['handle']} is now {status}")

    return click.Command(
        change, callback=run, params=[click.Argument(["account"])], help=CHANGES[change]
    )


@sandbox.group("break")
def break_() -> None:
    """Make calls fail in one of many ways, until `mend`.

    METHOD is the last part of an XRPC method's name, such as createSession or resolveHandle; plc
    for the directory; or all. Prints the fault's number.
    """


def _break(kind: type[Fault]) -> click.Command:
    def put_in_force(method: str, **given: object) -> None:
        made = ask("POST", "faults", kind=kind.name, method=method, **given)
        times = "until it is mended" if made["calls"] is None else f"times {made['calls']}"
        report(f"{kind.name} on {made['method']}, {times}")
        click.echo(made["number"])

    params: list[click.Parameter] = [
        click.Argument(["method"]),
        click.Option(["--account"], help="For this account only."),
        click.Option(["--calls"], type=int, help="For this number of calls only."),
    ]
    params += [
        click.Option([f"--{each.name}"], type=each.type, required=each.required)
        for each in settings_of(kind)
    ]
    return click.Command(kind.name, callback=put_in_force, params=params, help=kind.__doc__)


@sandbox.command()
@click.argument("number", type=int, required=False)
def mend(number: int | None) -> None:
    """Mend the fault with this number, or all; calls that hang then continue."""
    ask("DELETE", "faults", *([] if number is None else [str(number)]))
    report("mended")


@sandbox.command()
def faults() -> None:
    """List the faults in force: number, kind, method, account, calls left, settings."""
    for each in ask("GET", "faults")["faults"]:
        number, kind, method, account, calls, *_ = each.values()
        settings = " ".join(f"{name}={each[name]}" for name in list(each)[5:])
        fields = (number, kind, method, account or "", "" if calls is None else calls, settings)
        click.echo("\t".join(map(str, fields)))


@sandbox.command()
@click.argument("method", required=False)
@click.option("--reset", is_flag=True, help="Set the counts to zero.")
def counts(method: str | None, reset: bool) -> None:
    """Print the number of calls of each method, or of METHOD."""
    if reset:
        ask("DELETE", "counts")
        report("counting from nought")
        return
    methods = ask("GET", "counts")["methods"]
    if method is not None:
        click.echo(methods.get(method.rpartition(".")[2], 0))
        return
    for name in sorted(methods):
        click.echo(f"{name}\t{methods[name]}")


@sandbox.group()
def sites() -> None:
    """The sites of the platforms other than Bluesky."""


@sites.command("list")
def list_sites() -> None:
    """List them: platform, address, the credentials to connect with, the changes."""
    for each in ask("GET", "sites")["sites"]:
        credentials = " ".join(f"{name}={value}" for name, value in each["credentials"].items())
        fields = each["platform"], each["origin"], credentials, " ".join(each["changes"])
        click.echo("\t".join(fields))


def _site(platform: str) -> dict[str, Any]:
    """Return what the running sandbox says of a site; exit if there is none."""
    all_sites = {each["platform"]: each for each in ask("GET", "sites")["sites"]}
    if platform not in all_sites:
        raise click.ClickException(
            f"there is no site of {platform}; there are {', '.join(all_sites)}"
        )
    site: dict[str, Any] = all_sites[platform]
    return site


@sites.command("origin")
@click.argument("platform")
def site_origin(platform: str) -> None:
    """Print the address of a site."""
    click.echo(_site(platform)["origin"])


@sites.command("request")
@click.argument("platform")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--profile-key", help="The profile to connect; default: a new one.")
def site_request(platform: str, fields: tuple[str, ...], profile_key: str | None) -> None:
    """Print a ConnectProfileRequest in JSON, with the site's credentials or those given."""
    credentials = dict(_site(platform)["credentials"])
    for each in fields:
        name, separator, value = each.partition("=")
        if not separator:
            raise click.BadParameter(f"{each} is not FIELD=VALUE")
        credentials[name] = value
    request: dict[str, Any] = {"platform": platform, "credentials": credentials}
    if profile_key is not None:
        request["profileKey"] = profile_key
    click.echo(json.dumps(request))


@sites.command("change")
@click.argument("platform")
@click.argument("change")
@click.argument("account", default="")
def change_site(platform: str, change: str, account: str) -> None:
    """Change a site, or an account of it, such as `wordpress revoke alice`."""
    ask("POST", "sites", platform, change, account=account)
    report(f"{platform}: {change} {account}".rstrip())


@sites.command("break")
@click.argument("platform")
@click.option("--status", type=int, default=503, help="The HTTP status of every answer.")
def break_site(platform: str, status: int) -> None:
    """Answer every request to a site with an HTML page and an error status, until `mend`."""
    ask("POST", "sites", platform, "break", status=status)
    report(f"{platform} answers {status} until it is mended")


@sites.command("mend")
@click.argument("platform")
def mend_site(platform: str) -> None:
    """End the outage of a site."""
    ask("DELETE", "sites", platform, "break")
    report(f"{platform} is mended")


@sandbox.command()
def reset() -> None:
    """Restore the accounts at the start, mend all faults, and set the counts to zero."""
    ask("POST", "reset")
    report("everything is as at the start")


for _name in CHANGES:
    sandbox.add_command(_change(_name))
for _kind in FAULTS.values():
    break_.add_command(_break(_kind))
