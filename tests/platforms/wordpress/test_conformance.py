"""Conformance: the stand-in answers as a real WordPress, in each case that the adapter meets."""

from base64 import b64encode

import pytest

from .sites import APP_PASSWORDS, INTROSPECT, MAIN_PASSWORD, ME, AnySite, Person, ask

ANY_UUID = "00000000-0000-4000-8000-000000000000"
OURS = "11111111-0000-4000-8000-000000000000"
WRONG = "wrongWRONG01234567890123"
INDEX = "/?_fields=name,home,url,authentication,namespaces"
Case = tuple[int, str]
NOT_LOGGED_IN = (401, "rest_not_logged_in")


async def case(
    site: AnySite,
    route: str,
    auth: tuple[str, str] | None = None,
    *,
    method: str = "GET",
    json: object = None,
    headers: dict[str, str] | None = None,
) -> Case:
    """Return an answer's status and the code of its error; `html` if it is a page."""
    url = f"{site.home}/wp-json{route}"
    answer = await ask(url, auth=auth, method=method, json=json, headers=headers)
    kind = answer.headers["content-type"].lower().replace(" ", "")
    if kind != "application/json;charset=utf-8":
        assert kind in {"text/html;charset=utf-8", "text/html"}
        return answer.status_code, "html"
    body = answer.json()
    code = body.get("code", "") if isinstance(body, dict) else ""
    if code:
        assert body["data"]["status"] == answer.status_code
        assert set(body) == {"code", "message", "data"}
    return answer.status_code, code


@pytest.mark.parametrize("route", [INTROSPECT, ME, APP_PASSWORDS])
async def test_a_good_password(site: AnySite, route: str) -> None:
    """In groups or not, in any case of the login name, by the e-mail address too."""
    person = await site.person()
    login, password = person.as_header
    for name in (login, login.upper(), f"{login}@example.com"):
        for typed in (password, password.replace(" ", ""), password.replace(" ", "-")):
            assert await case(site, route, (name, typed)) == (200, ""), (name, typed)


@pytest.mark.parametrize("route", [INTROSPECT, ME, APP_PASSWORDS, f"{APP_PASSWORDS}/{ANY_UUID}"])
async def test_refusals_are_all_alike(site: AnySite, route: str) -> None:
    """Wrong, unknown, main password, revoked, no header, another scheme, user gone."""
    person = await site.person()
    for auth in (
        (person.login, WRONG),
        ("unknown", person.app_password),
        ("unknown@example.com", person.app_password),
        (person.login, MAIN_PASSWORD),
        None,
    ):
        assert await case(site, route, auth) == NOT_LOGGED_IN
    bearer = {"authorization": f"Bearer {person.app_password.replace(' ', '')}"}
    assert await case(site, route, headers=bearer) == NOT_LOGGED_IN
    await site.revoke(person)
    assert await case(site, route, person.as_header) == NOT_LOGGED_IN
    another = await site.person()
    await site.delete(another)
    assert await case(site, route, another.as_header) == NOT_LOGGED_IN


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        ("switched-off", (501, "application_passwords_disabled")),
        ("switched-off-for-users", NOT_LOGGED_IN),
        ("no-header", NOT_LOGGED_IN),
        ("closed", (200, "")),
        ("no-user-routes", (404, "rest_no_route")),
        ("early-login", (200, "")),
        ("main-password", (200, "")),
        ("firewall", (403, "html")),
    ],
)
async def test_a_good_password_and_a_plugin(site: AnySite, plugin: str, expected: Case) -> None:
    """What becomes of it where a plugin is in the way."""
    person = await site.person()
    await site.plug(plugin)
    assert await case(site, INTROSPECT, person.as_header) == expected
    assert await case(site, f"{APP_PASSWORDS}/{person.uuid}", person.as_header) == expected


async def test_switched_off_elsewhere(site: AnySite) -> None:
    """Routes of application passwords say so in words; others know nobody."""
    person = await site.person()
    await site.plug("switched-off")
    assert await case(site, ME, person.as_header) == NOT_LOGGED_IN


async def test_words_where_a_plugin_asks_early(site: AnySite) -> None:
    """Who calls: the older words come back."""
    person = await site.person()
    await site.plug("early-login")
    for auth, code in (
        ((person.login, WRONG), "incorrect_password"),
        (("unknown", WRONG), "invalid_username"),
        (("unknown@example.com", WRONG), "invalid_email"),
    ):
        assert await case(site, INTROSPECT, auth) == (401, code)
        assert await case(site, INDEX, auth) == (401, code)
    await site.plug("switched-off-for-users")
    disabled = (401, "application_passwords_disabled_for_user")
    assert await case(site, INTROSPECT, person.as_header) == disabled


async def test_a_main_password_that_a_plugin_lets_in(site: AnySite) -> None:
    """It works, and is no application password."""
    person = await site.person()
    await site.plug("main-password")
    auth = person.login, MAIN_PASSWORD
    assert await case(site, ME, auth) == (200, "")
    assert await case(site, INTROSPECT, auth) == (404, "rest_no_authenticated_app_password")


@pytest.mark.parametrize("plugin", ["", "switched-off", "switched-off-for-users", "closed"])
async def test_the_index(site: AnySite, plugin: str) -> None:
    """States the site's address, and whether application passwords are switched on."""
    if plugin:
        await site.plug(plugin)
    person = await site.person()
    answer = await ask(f"{site.home}/wp-json{INDEX}", auth=(person.login, WRONG))
    if plugin == "closed":
        assert (answer.status_code, answer.json()["code"]) == NOT_LOGGED_IN
        assert answer.links["https://api.w.org/"]["url"] == f"{site.home}/wp-json/"
        return
    stated = answer.json()
    assert (answer.status_code, stated["home"], stated["url"]) == (200, site.home, site.home)
    assert "wp/v2" in stated["namespaces"]
    authorize = f"{site.home}/wp-admin/authorize-application.php"
    on = {"application-passwords": {"endpoints": {"authorization": authorize}}}
    assert stated["authentication"] == ([] if plugin == "switched-off" else on)
    assert "wp-json/>; rel=" in answer.headers["link"]


async def test_plain_permalinks(site: AnySite) -> None:
    """The front page is where the API's root was; each route is a parameter."""
    person = await site.person()
    await site.set_plain(True)
    try:
        page = await ask(f"{site.home}/wp-json{INDEX}")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=UTF-8")
        answer = await ask(f"{site.home}/?rest_route=/&{INDEX[2:]}")
        assert (answer.status_code, answer.json()["home"]) == (200, site.home)
        url = f"{site.home}/?rest_route={ME}&_fields=id"
        answer = await ask(url, auth=person.as_header)
        assert answer.json() == {"id": person.user_id}
    finally:
        await site.set_plain(False)
    answer = await ask(f"{site.home}/?rest_route=/&{INDEX[2:]}")
    assert (answer.status_code, answer.json()["home"]) == (200, site.home)


@pytest.mark.parametrize("role", ["author", "subscriber"])
async def test_a_user(site: AnySite, role: str) -> None:
    """Login name and capabilities, to the user alone."""
    person = await site.person(role)
    url = f"{site.home}/wp-json{ME}?context=edit&_fields=id,username,name,capabilities"
    stated = (await ask(url, auth=person.as_header)).json()
    assert set(stated) == {"id", "username", "name", "capabilities"}
    assert (stated["id"], stated["username"]) == (person.user_id, person.login)
    assert stated["capabilities"].get("publish_posts", False) is (role == "author")
    assert stated["capabilities"][role] is True
    post = {"title": "Hello", "content": "world", "status": "publish"}
    made = await case(site, "/wp/v2/posts", person.as_header, method="POST", json=post)
    assert made == ((201, "") if role == "author" else (403, "rest_cannot_create"))
    assert await site.posts(person) == (["Hello"] if role == "author" else [])


async def test_posts_of_strangers(site: AnySite) -> None:
    """A wrong password is as none, and an empty post is refused."""
    person = await site.person()
    post = {"title": "Hello", "content": "world", "status": "publish"}
    for auth in (None, (person.login, WRONG)):
        made = await case(site, "/wp/v2/posts", auth, method="POST", json=post)
        assert made == (401, "rest_cannot_create")
    empty = await case(site, "/wp/v2/posts", person.as_header, method="POST", json={})
    assert empty == (400, "empty_content")
    assert await case(site, "/wp/v2/posts", (person.login, WRONG)) == (200, "")


@pytest.mark.parametrize("role", ["author", "subscriber"])
async def test_minting(site: AnySite, role: str) -> None:
    """One application password makes another, which asks for and outlives the first."""
    person = await site.person(role)
    url = f"{site.home}/wp-json{APP_PASSWORDS}"
    new = {"name": "ours", "app_id": OURS}
    answer = await ask(
        f"{url}?_fields=uuid,password,created", auth=person.as_header, method="POST", json=new
    )
    made = answer.json()
    assert (answer.status_code, set(made)) == (201, {"uuid", "password", "created"})
    assert [len(group) for group in made["password"].split(" ")] == [4] * 6
    ours = person.login, made["password"]
    proved = await ask(f"{site.home}/wp-json{INTROSPECT}?_fields=uuid,app_id,name", auth=ours)
    assert proved.json() == {"uuid": made["uuid"], "app_id": OURS, "name": "ours"}
    listed = (await ask(f"{url}?_fields=uuid,app_id", auth=ours)).json()
    assert listed == [
        {"uuid": person.uuid, "app_id": ""},
        {"uuid": made["uuid"], "app_id": OURS},
    ]
    pasted = f"{APP_PASSWORDS}/{person.uuid}"
    assert await case(site, pasted, ours) == (200, "")
    await site.revoke(person)
    assert await case(site, pasted, ours) == (404, "rest_application_password_not_found")
    answer = await ask(f"{url}/{made['uuid']}?_fields=deleted", auth=ours, method="DELETE")
    assert (answer.status_code, answer.json()) == (200, {"deleted": True})
    again = await case(site, f"{APP_PASSWORDS}/{made['uuid']}", ours, method="DELETE")
    assert again == NOT_LOGGED_IN
    assert await site.names(person.login) == {}


async def test_minting_that_is_refused(site: AnySite) -> None:
    """A name that is there already, none, an id that is no UUID, and a stranger."""
    person = await site.person()

    async def minted(new: object, auth: tuple[str, str] = person.as_header) -> Case:
        return await case(site, APP_PASSWORDS, auth, method="POST", json=new)

    # 6.8 and later accept it: the adapter never sends the same name twice
    again = await minted({"name": "pasted"})
    assert again in {(409, "application_password_duplicate_name"), (201, "")}
    assert await minted({}) == (400, "rest_missing_callback_param")
    assert await minted({"name": "x", "app_id": "x"}) == (400, "rest_invalid_param")
    assert await minted({"name": "x"}, (person.login, WRONG)) == NOT_LOGGED_IN
    gone = f"{APP_PASSWORDS}/{ANY_UUID}"
    deleted = await case(site, gone, person.as_header, method="DELETE")
    assert deleted == (404, "rest_application_password_not_found")


async def test_maintenance(site: AnySite) -> None:
    """A page with status 503, that says when to come back, for the index too."""
    person = await site.person()
    await site.set_maintenance(True)
    for route in (INDEX, INTROSPECT):
        assert await case(site, route, person.as_header) == (503, "html")
    answer = await ask(f"{site.home}/wp-json{INDEX}")
    assert answer.headers["retry-after"] == "600"


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 200, "text/html"),
        ("/no-such-page/", 404, "text/html"),
        ("/wp-json/nothing", 404, "application/json"),
        ("/wp-json", 200, "application/json"),
        ("/no-such-page/wp-json/", 404, "text/html"),
    ],
)
async def test_other_paths(site: AnySite, path: str, status: int, kind: str) -> None:
    answer = await ask(f"{site.home}{path}")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (status, kind)


def test_a_header_of_odd_signs_is_no_login(stand_in: object) -> None:
    """Of the stand-in alone: base64 that is none."""
    from service.sandbox.sites.wordpress_users import User, log_in

    users = {"alice": User(1, "alice", "Alice")}
    for header in ("", "Basic", "Basic %%%", f"Basic {b64encode(b'alice').decode()}"):
        assert log_in(header, users).user is None
    assert Person("a", 1, "secret").app_password not in repr(Person("a", 1, "secret"))
