"""`postcore` in a process that uses the tests' own name server and internet.

    python -m tests.attack.redirected_process DNS_PORT WEB_PORT serve

The name server's answers are checked as usual; every public address then leads to WEB_PORT.
"""

import sys
from typing import Any

import httpcore

from service.app import startup as opening
from service.cli import main as cli
from service.platforms.egress import pool
from service.platforms.egress.dns import Resolver
from service.platforms.egress.egress import Egress, Roots


def redirect(dns_port: int, web_port: int) -> None:
    async def dial(address: str, port: int, seconds: float) -> httpcore.AsyncNetworkStream:
        return await pool.dial("127.0.0.1", web_port, seconds)

    def redirected(names: Resolver, roots: Roots, **more: Any) -> Egress:
        return Egress(names, roots, dial, **more)

    vars(opening).update(Resolver=lambda: Resolver(["127.0.0.1"], dns_port), Egress=redirected)


if __name__ == "__main__":
    ports = sys.argv[1:3]
    del sys.argv[1:3]
    redirect(*map(int, ports))
    cli.main()
