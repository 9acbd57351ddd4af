"""Tamperings: every change that a database writer can make to a sealed secret or its row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, product
from typing import Any

from service.crypto.keyring import KeyPurpose
from service.domain.records import Purpose
from tests.attack.victim import SECRETS, Statement, Victim

SECOND = "second"
"""Begins the id of a second platform with the same adapter."""
BOTH = frozenset(SECRETS)
FLIPPED, CUT, LONGER, ANOTHERS, EDITED, SWAPPED, MOVED = KINDS = (
    "a byte of an envelope flipped",
    "an envelope cut short",
    "an envelope made longer",
    "another secret's envelope in the place",
    "a plain column edited",
    "two columns swapped",
    "a whole connection moved",
)
LONGER_BY: tuple[Callable[[bytes], bytes], ...] = (
    lambda was: was + b"\0",
    lambda was: b"\0" + was,
    lambda was: was + was,
    lambda was: was + was[-16:],
)
COLUMNS = (
    *(("connections", column) for column in ("account_id", "origin", "generation")),
    *(
        (table, column)
        for table in SECRETS.values()
        for column in ("generation", "ring_key_id", "envelope")
    ),
)
"""All columns that decide which secret opens there."""


@dataclass(frozen=True)
class Change:
    """A change of a row.

    *touched*: the secrets that must not open afterwards. *edit*: its statements. *asked*: the
    tenant, profile and platform of the connection after the change. *platform*: of the connections
    that it is made to.
    """

    kind: str
    touched: frozenset[Purpose]
    edit: Callable[[Victim], Sequence[Statement]]
    asked: Callable[[Victim], tuple[str, str, str]] = lambda victim: victim.place
    platform: str = ""


def every(part: float, examples: Sequence[Victim]) -> list[Change]:
    """Return every tampering, at each platform; of single-byte flips, that part.

    A part below 1 has each other tampering at one platform only. *examples*, one of each platform,
    give the lengths of envelopes.
    """
    step = max(1, round(1 / part))
    common = [*_anothers(), *_edited(), *_swapped(), *_moved()]
    common += [_envelope(LONGER, purpose, longer) for purpose in SECRETS for longer in LONGER_BY]
    changes = []
    for number, example in enumerate(examples):
        changes += [
            replace(change, platform=example.platform)
            for turn, change in enumerate(common)
            if part == 1 or turn % len(examples) == number
        ]
        for purpose in SECRETS:
            length = len(example.rows[SECRETS[purpose]]["envelope"])
            # from the format's byte to the last byte of the tag, by turns of the platforms
            for place in {*range(number * step, length, len(examples) * step), length - 1}:
                for kind, make in (
                    (FLIPPED, partial(_flipped, place=place)),
                    (CUT, partial(_cut, length=place)),
                ):
                    change = _envelope(kind, purpose, make)
                    changes.append(replace(change, platform=example.platform))
    return changes


def _cut(envelope: bytes, length: int) -> bytes:
    return envelope[:length]


def _flipped(envelope: bytes, place: int) -> bytes:
    flipped = bytearray(envelope)
    flipped[place] ^= 1 << place % 8
    return bytes(flipped)


def _envelope(kind: str, purpose: Purpose, make: Callable[[bytes], bytes]) -> Change:
    table = SECRETS[purpose]
    return Change(
        kind,
        frozenset({purpose}),
        lambda victim: [victim.put(table, envelope=make(victim.rows[table]["envelope"]))],
    )


def _anothers() -> Iterator[Change]:
    """Yield swaps with the envelope of another connection, of another platform's too, or of the
    other purpose.

    Each comes without and with the key's id, and with all other columns of that row.
    """
    for purpose, table in SECRETS.items():
        [other] = [name for name in SECRETS.values() if name != table]
        for whose, source in (
            ("peer", table),
            ("peer", other),
            ("rows", other),
            ("foreign", table),
            ("foreign", other),
        ):
            for columns in (
                ("envelope",),
                ("envelope", "ring_key_id"),
                ("envelope", "ring_key_id", "generation"),
            ):
                if whose == "rows" and "generation" in columns:
                    continue  # the same envelope

                def edit(
                    victim: Victim,
                    table: str = table,
                    source: str = source,
                    whose: str = whose,
                    columns: tuple[str, ...] = columns,
                ) -> list[Statement]:
                    row = getattr(victim, whose)[source]
                    return [victim.put(table, **{name: row[name] for name in columns})]

                yield Change(ANOTHERS, frozenset({purpose}), edit)

    def all_but_the_place(victim: Victim, whose: str) -> list[Statement]:
        names = ("account_id", "origin", "generation", "ring_key_id", "envelope")
        return [
            victim.put(table, **{name: row[name] for name in names if name in row})
            for table, row in getattr(victim, whose).items()
        ]

    for whose in ("peer", "foreign"):
        yield Change(ANOTHERS, BOTH, partial(all_but_the_place, whose=whose))


def _edited() -> Iterator[Change]:
    def edit(
        table: str, column: str, value: Callable[[Victim], object], touched: frozenset[Purpose]
    ) -> Change:
        return Change(
            EDITED, touched, lambda victim: [victim.put(table, **{column: value(victim)})]
        )

    def of(victim: Victim, column: str) -> Any:
        return victim.rows["connections"][column]

    origins: list[Callable[[Victim], object]] = [
        lambda victim: victim.elsewhere,
        lambda victim: of(victim, "origin") + "/",
        lambda victim: of(victim, "origin").upper(),
        lambda victim: of(victim, "origin").replace("127.0.0.1", "localhost"),
        lambda _: "https://bsky.social",
        lambda _: "no origin",
        lambda _: "",
    ]
    accounts: list[Callable[[Victim], object]] = [
        lambda victim: victim.peer["connections"]["account_id"],
        lambda victim: of(victim, "account_id").upper(),
        lambda victim: of(victim, "account_id") + "\0",
        lambda _: "did:web:elsewhere.example.com",
        lambda _: "",
    ]
    generations: list[Callable[[Victim], object]] = [
        lambda victim: of(victim, "generation") + 1,
        lambda victim: of(victim, "generation") - 1,
        lambda victim: -of(victim, "generation"),
        lambda victim: victim.peer["connections"]["generation"],
        lambda _: 0,
    ]
    for column, values in (
        ("origin", origins),
        ("account_id", accounts),
        ("generation", generations),
    ):
        yield from (edit("connections", column, value, BOTH) for value in values)
    for purpose, table in SECRETS.items():
        touched = frozenset({purpose})
        yield from (edit(table, "generation", value, touched) for value in generations)
        keys: list[Callable[[Victim], object]] = [
            partial(_other_key, table=table),
            lambda victim: victim.keyring.active(KeyPurpose.API_KEY).key_id,
            lambda victim: f"seal-{victim.profile_key}",
            lambda victim: of(victim, "account_id"),
            lambda _: "",
        ]
        yield from (edit(table, "ring_key_id", value, touched) for value in keys)


def _other_key(victim: Victim, table: str) -> object:
    """Return the other key of the keyring that can seal."""
    [other] = [victim.rows[name]["ring_key_id"] for name in SECRETS.values() if name != table]
    return other


def _swapped() -> Iterator[Change]:
    """Yield a swap for each pair of columns with different values."""
    for one, other in combinations(COLUMNS, 2):
        if one[1] == other[1] == "generation":
            continue
        touched = frozenset(
            purpose
            for purpose, table in SECRETS.items()
            if {one[0], other[0]} & {"connections", table}
        )

        def edit(
            victim: Victim, one: tuple[str, str] = one, other: tuple[str, str] = other
        ) -> list[Statement]:
            return [
                victim.put(table, **{column: victim.rows[source][named]})
                for (table, column), (source, named) in ((one, other), (other, one))
            ]

        yield Change(SWAPPED, touched, edit)


def _moved() -> Iterator[Change]:
    """Yield moves to another tenant, profile or platform, in all tables.

    The other platform has either the same adapter or an adapter of its own.
    """

    def to(tenant: bool, profile: bool, platform: str) -> Change:
        def there(victim: Victim) -> tuple[str, str, str]:
            return (
                victim.other_tenant if tenant else victim.tenant_id,
                victim.spare if profile else victim.profile_key,
                platform.format(own=victim.platform, other=victim.other_platform),
            )

        def edit(victim: Victim) -> list[Statement]:
            at = dict(zip(("tenant_id", "profile_key", "platform"), there(victim), strict=True))
            profiles = "UPDATE profiles SET tenant_id = ?, profile_key = ? WHERE profile_key = ?"
            return [
                (profiles, (at["tenant_id"], at["profile_key"], victim.profile_key)),
                *(victim.put(table, **at) for table in victim.rows),
            ]

        return Change(MOVED, BOTH, edit, there)

    places = product((False, True), (False, True), ("{own}", SECOND + "{own}", "{other}"))
    for place in list(places)[1:]:
        yield to(*place)
