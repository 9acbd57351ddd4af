"""Runs a real WordPress for tests, and does there what its owner does."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

HERE = Path(__file__).parent
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
WORKERS = 4

PLUGINS = {
    "switched-off": "add_filter('wp_is_application_passwords_available', '__return_false');",
    "switched-off-for-users": (
        "add_filter('wp_is_application_passwords_available_for_user', '__return_false');"
    ),
    "early-login": "add_filter('application_password_is_api_request', '__return_true');",
    "closed": (
        "add_filter('rest_authentication_errors', function ($result) {"
        " return $result === true || is_user_logged_in() ? $result : new WP_Error("
        "'rest_not_logged_in', 'Only for members.', ['status' => 401]); });"
    ),
    "no-user-routes": (
        "add_filter('rest_endpoints', function ($all) {"
        " return array_filter($all, function ($route) {"
        " return strpos($route, '/wp/v2/users') !== 0; }, ARRAY_FILTER_USE_KEY); });"
    ),
    "main-password": (
        "add_filter('determine_current_user', function ($user) {"
        " if ($user || empty($_SERVER['PHP_AUTH_USER'])) { return $user; }"
        " $found = get_user_by('login', $_SERVER['PHP_AUTH_USER']);"
        " $is_right = $found && wp_check_password("
        "$_SERVER['PHP_AUTH_PW'], $found->user_pass, $found->ID);"
        " return $is_right ? $found->ID : $user; }, 30);"
    ),
    "no-header": "unset($_SERVER['PHP_AUTH_USER'], $_SERVER['PHP_AUTH_PW']);",
    "firewall": (
        "http_response_code(403); header('Content-Type: text/html');"
        " echo '<!doctype html><title>Blocked</title>'; exit;"
    ),
}
"""What plugins of a site do, by name."""


class RealWordPressError(Exception):
    """It did not start, or refused what a test asked of it."""


class RealWordPress:
    """One running site. *installed* is what `tests/wordpress/install` prints.

        with RealWordPress.started(folder) as site:
            site.create("alice", "author")
            made = site.mint("alice", "postcore")

    It is tied to no event loop: tests that each have their own can share one site.
    """

    def __init__(self, folder: Path, origin: str, prefix: str) -> None:
        self.origin = origin
        self.home = f"{origin}{prefix}"
        self._folder = folder

    @classmethod
    @contextmanager
    def started(cls, installed: Path, prefix: str = "") -> Iterator[Self]:
        """Run a copy of it. *prefix*: the folder that the site is in, such as `/blog`."""
        with ExitStack() as resources:
            # not below pytest's folders: a socket's path has at most 107 bytes
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="wp-")))
            shutil.copytree(installed / "data", folder / "data")
            site = folder / "site"
            site.mkdir()
            # .maintenance lies beside these files; what they load is shared
            for each in (installed / "site").iterdir():
                if each.is_dir():
                    (site / each.name).symlink_to(each)
                else:
                    shutil.copy(each, site)
            (folder / "plugins").mkdir()
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            started = cls(folder, f"http://127.0.0.1:{port}", prefix)
            started._run(resources, port, prefix)
            yield started

    def _run(self, resources: ExitStack, port: int, prefix: str) -> None:
        output = resources.enter_context((self._folder / "log").open("wb"))
        data, database = self._folder / "data", self._folder / "db"
        commands: list[list[str]] = [
            [
                *("mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={database}"),
                *("--skip-networking", f"--pid-file={self._folder / 'pid'}"),
                *("--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"),
                *("--innodb-flush-log-at-trx-commit=0", f"--user={_user()}"),
                # not /tmp: a server that starts removes the temporary tables that others have there
                f"--tmpdir={self._folder}",
            ],
            [
                *("php", "-d", "opcache.revalidate_freq=0", "-d", "realpath_cache_ttl=0"),
                *("-d", "display_errors=0", "-S", f"127.0.0.1:{port}"),
                *("-t", str(self._folder / "site"), str(HERE / "router.php")),
            ],
        ]
        environment = {**self._environment, "WP_TEST_FOLDER": prefix}
        environment["PHP_CLI_SERVER_WORKERS"] = str(WORKERS)
        for command in commands:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            resources.callback(_end, process)
        self._wait(time.monotonic() + 60)

    def _wait(self, deadline: float) -> None:
        url = f"{self.home}/wp-json/?_fields=name"
        with httpx.Client(trust_env=False) as client:
            while True:
                try:
                    if client.get(url).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                if time.monotonic() > deadline:
                    printed = (self._folder / "log").read_text(errors="replace")
                    raise RealWordPressError(f"it was not ready in time; it printed:\n{printed}")
                time.sleep(0.05)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": PATH,
            "WP_TEST_SOCKET": str(self._folder / "db"),
            "WP_TEST_HOME": self.home,
            "WP_TEST_PLUGINS": str(self._folder / "plugins"),
        }

    def change(self, name: str, *given: str) -> Any:
        """Make a change of `change.php`, and return what it prints."""
        script, site = HERE / "change.php", self._folder / "site"
        done = subprocess.run(
            ["php", "-d", "display_errors=stderr", str(script), str(site), name, *given],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RealWordPressError(f"{name}: {done.stdout[-500:]} {done.stderr[-500:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def create(self, login: str, role: str, password: str = "a main password") -> int:
        """Create a user; return the id."""
        return int(self.change("create", login, role, password)["id"])

    def mint(self, login: str, name: str) -> tuple[str, str]:
        """Make an application password; return it, in groups, and its uuid."""
        made = self.change("mint", login, name)
        return made["password"], made["uuid"]

    def names(self, login: str) -> dict[str, str]:
        """Return the names of the user's application passwords, by uuid."""
        return dict(self.change("list", login))

    def plug(self, name: str) -> None:
        """Let the site have the plugin of PLUGINS."""
        (self._folder / "plugins" / f"{name}.php").write_text(f"<?php {PLUGINS[name]}")

    def unplug(self) -> None:
        """Remove every plugin."""
        for each in (self._folder / "plugins").iterdir():
            each.unlink()

    def set_maintenance(self, is_on: bool) -> None:
        """Let the site be under maintenance, as during an update."""
        file = self._folder / "site" / ".maintenance"
        if is_on:
            file.write_text("<?php $upgrading = time();")
        else:
            file.unlink(missing_ok=True)

    def set_database(self, is_within_reach: bool) -> None:
        """Hide the database from the site."""
        shown, hidden = self._folder / "db", self._folder / "db-hidden"
        if is_within_reach and hidden.exists():
            hidden.rename(shown)
        elif not is_within_reach and shown.exists():
            shown.rename(hidden)


def _user() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    # a group: PHP's workers are processes of their own
    with process:
        os.killpg(process.pid, 15)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
