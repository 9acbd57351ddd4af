"""Seed: the accounts that a sandbox starts with, the same in every run."""

from dataclasses import dataclass, field

from service.sandbox.accounts import Status
from service.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Seed:
    """An account to be: handle, main password, app password (named "sandbox") and so on."""

    handle: str
    password: str = field(repr=False)
    app_password: str = field(repr=False)
    display_name: str
    status: Status = Status.ACTIVE
    privileged: bool = False


# fmt: off
SEEDS = (
    # the specification's own
    Seed("user.bsky.social", "correct-horse-battery", "abcd-efgh-ijkl-mnop", "User"),
    # a main password in the shape of an app password
    Seed("alice.test", "main-pass-word-used", "alic-eapp-pass-word", "Alice"),
    # a domain of one's own
    Seed("custom.example-domain.com", "a-domain-of-my-own", "cust-omdo-main-pass", "Custom"),
    # an app password that reads direct messages too
    Seed("privileged.bsky.social", "messages-as-well", "priv-ileg-eapp-pass", "Privileged",
         privileged=True),
    Seed("deactivated.bsky.social", "gone-for-a-while", "deac-tiva-teda-pass", "Deactivated",
         status=Status.DEACTIVATED),
    Seed("takendown.bsky.social", "closed-by-moderators", "take-ndow-napp-pass", "Taken down",
         status=Status.TAKENDOWN),
)
# fmt: on


def plant(world: World) -> World:
    """Give *world* the accounts above, and give it back."""
    for seed in SEEDS:
        account = world.create(
            seed.handle, seed.password, display_name=seed.display_name, status=seed.status
        )
        world.add_app_password(
            account.did, "sandbox", seed.app_password, privileged=seed.privileged
        )
    return world
