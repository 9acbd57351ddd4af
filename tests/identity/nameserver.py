"""Name server: answers as large as UDP allows, and the lies that the situations need."""

from dataclasses import dataclass
from typing import Literal

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

from tests.platforms.dns_server import DnsServer, Reply

How = Literal[
    "truncated over UDP",
    "wrong id at first",
    "wrong id always",
    "another question",
    "garbage",
    "a referral",
    "lost at first",
    "over TCP never",
]


@dataclass(frozen=True)
class Lie:
    """*reply*, but answered in a way that no proper server does."""

    reply: Reply
    how: How


Answering = Reply | Lie


class NameServer(DnsServer):
    """A table of names as its base has it, and of lies."""

    def __init__(self) -> None:
        super().__init__()
        self._lies: dict[tuple[str, str], Lie] = {}
        self._met: set[tuple[str, str, str]] = set()

    def set(self, name: str, kind: str, *answers: Answering) -> None:
        """Answer *kind* of *name* so; several answers are given in turn, and none may be a lie."""
        replies = [answer for answer in answers if isinstance(answer, Reply)]
        self.say(name, kind, *replies)
        for answer in answers:
            if isinstance(answer, Lie):
                self._lies[name.lower(), kind] = answer
                self.say(name, kind, answer.reply)

    def answer(self, wire: bytes, protocol: str) -> bytes | None:
        honest = super().answer(wire, protocol)
        if honest is None:
            return None
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        if lie := self._lies.get((name, kind)):
            again = (name, kind, protocol) in self._met
            self._met.add((name, kind, protocol))
            return _lied(lie, query, honest, protocol, again=again)
        most = max(512, query.payload) if protocol == "udp" else 65535
        return honest if len(honest) <= most else Reply(truncated=True).to(query)


def _lied(
    lie: Lie, query: dns.message.Message, honest: bytes, protocol: str, *, again: bool
) -> bytes | None:
    lost_or_wrong = {
        "lost at first": None,
        "wrong id at first": _other_id(honest),
        "wrong id always": _other_id(honest),
        "another question": _to_another_question(query),
        "garbage": honest[:2] + b"\xff" * 7,
        "a referral": _referral(query),
    }
    if lie.how in lost_or_wrong:
        is_over = again and lie.how.endswith("at first")
        return honest if is_over else lost_or_wrong[lie.how]
    if protocol == "udp":
        return Reply(truncated=True).to(query)
    return honest if lie.how == "truncated over UDP" else None


def _to_another_question(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query, recursion_available=True)
    asked = query.question[0]
    other = dns.name.from_text("other.net")
    response.question = [dns.rrset.RRset(other, asked.rdclass, asked.rdtype)]
    return response.to_wire()


def _referral(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    zone = query.question[0].name.parent()
    response.authority.append(dns.rrset.from_text(zone, 60, "IN", "NS", "ns.other.net."))
    return response.to_wire()


def _other_id(wire: bytes) -> bytes:
    return bytes([wire[0] ^ 0xFF]) + wire[1:]
