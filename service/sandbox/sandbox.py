"""Sandbox: Bluesky's two servers and directory, a site of each other platform, and the control."""

from collections.abc import Awaitable, Callable
from typing import Self

from service.sandbox.control import Control
from service.sandbox.listener import AddressTaken, host_and_port
from service.sandbox.network import Network
from service.sandbox.server import SandboxServer
from service.sandbox.sites import SITES


class Sandbox:
    """Starts and stops all parts together. Accounts start at `first`, and can move to `second`.

    async with Sandbox() as sandbox:
        sandbox.network.migrate("alice.test")
    """

    def __init__(self, network: Network | None = None) -> None:
        self.network = network or Network()
        self.first = SandboxServer(self.network.first, self.network.breakages)
        self.second = SandboxServer(self.network.second, self.network.breakages)
        self.sites = [site() for site in SITES]
        self.control = Control(self.network, (self.first, self.second), self.sites)

    async def start(
        self, address: str = "127.0.0.1:0", control_address: str = "127.0.0.1:0"
    ) -> None:
        """Listen on both addresses (HOST:PORT, 0: any free port). Other servers pick their ports.

        Raises AddressTaken, or ValueError off loopback.
        """
        host, _ = host_and_port(address)
        try:
            await _listen(self.first.start, address)
            await _listen(self.second.start, f"{host}:0")
            for site in self.sites:
                await _listen(site.start, f"{host}:0")
            await _listen(self.control.start, control_address)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection at once, with calls in progress. Idempotent."""
        await self.control.stop()
        for site in self.sites:
            await site.stop()
        for server in (self.second, self.first):
            await server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def _listen(start: Callable[[str, int], Awaitable[None]], address: str) -> None:
    try:
        await start(*host_and_port(address))
    except OSError:
        raise AddressTaken(f"cannot listen on {address}; is the port taken?") from None
