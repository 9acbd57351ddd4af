"""The TXT record of `_atproto.` and the handle."""

import dns.rcode

from tests.identity.nameserver import Answering, Lie
from tests.identity.situation import ACCOUNT, ERROR, NONE, Page, Situation, mine
from tests.platforms.dns_server import (
    NEVER,
    NODATA,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    TRUNCATED,
    Reply,
    text,
)

NO = "NoSuchAccount"
DNS = "PlatformUnavailable(dns)"
LATE = "PlatformUnavailable(dns_timeout)"
FILE = Page()
SPF = text("v=spf1 -all")
OTHER = "did:plc:aaaabbbbccccddddeeeeffff"
ALIAS = "nothing.situations.net"
NO_RECORD: dict[str, Answering] = {
    "there is no such name": NXDOMAIN,
    "the name has no TXT record": NODATA,
    "the name is an alias of nothing": Reply((), (ALIAS,), NXDOMAIN.rcode),
    "the answer is a referral to another server": Lie(NODATA, "a referral"),
    "the name has other texts alone": Reply((SPF, text("xdid=$did"))),
    "`DID=` is in capitals": Reply((text("DID=$did"),)),
    "a space comes before `did=`": Reply((text(" did=$did"),)),
    "quotation marks are around the text": Reply((text(r"\"did=$did\""),)),
    "`did=` comes without a DID": Reply((text("did="),)),
    "the text is empty": Reply((text(""),)),
}
"""Answers without a DID: the file is read."""
NO_ANSWER: dict[str, Answering] = {
    "the name server fails (SERVFAIL)": SERVFAIL,
    "the name server refuses (REFUSED)": REFUSED,
    "the name server does not know how (NOTIMP)": Reply(rcode=dns.rcode.NOTIMP),
    "the name server finds the question ill-formed (FORMERR)": Reply(rcode=dns.rcode.FORMERR),
    "the name server is not in charge (NOTAUTH)": Reply(rcode=dns.rcode.NOTAUTH),
    "the answer is cut short over TCP, too": TRUNCATED,
    "the aliases run in a circle": Reply((), ("a.situations.net", "_atproto.$handle")),
}
"""Backoff: they prove nothing, and the file is asked."""
LATE_ANSWERS: dict[str, Answering] = {
    "the name server is silent": NEVER,
    "the answer is cut short, and none comes over TCP": Lie(NODATA, "over TCP never"),
    "the answer has the wrong id": Lie(mine(), "wrong id always"),
    "the answer is to another question": Lie(mine(), "another question"),
    "the answer is garbage": Lie(mine(), "garbage"),
}
"""No answer of use comes: the file is asked after three seconds."""
NOT_A_DID = {
    "a space comes after the DID": text("did=$did "),
    "a space comes after `did=`": text("did= $did"),
    "something comes after the DID": text("did=$did;x"),
    "the method is in capitals": text(f"did=did:PLC:{OTHER[8:]}"),
    "the text is no DID": text("did=$handle"),
    "the method is not one of the AT Protocol": text("did=did:key:zQ3shokFTS3brHcDQrn82RU"),
}
TWICE = mine(text("did=", "$did"))
MANY = tuple(text(f"v={number}") for number in range(64))


def _found(name: str, *txt: Answering) -> Situation:
    return Situation(name, ACCOUNT, ACCOUNT, txt=txt)


def _both(name: str, answer: Answering, without: str) -> tuple[Situation, Situation]:
    """With a well-known file, and without one."""
    return (
        Situation(f"{name}; a file", ACCOUNT, ACCOUNT, txt=(answer,), file=FILE),
        Situation(f"{name}; no file", NONE, without, txt=(answer,)),
    )


def _several(name: str, *records: str) -> tuple[Situation, Situation]:
    """Records that disagree, with a well-known file, and without one."""
    txt = (Reply(records),)
    return (
        Situation(f"{name}; a file", ACCOUNT, NO, "several DIDs", txt=txt, file=FILE),
        Situation(f"{name}; no file", NONE, NO, txt=txt),
    )


SITUATIONS: tuple[Situation, ...] = (
    _found("one record with the DID", mine()),
    _found("`did=` and the DID in two strings of one record", Reply((text("did=", "$did"),))),
    _found("`did=` in four strings of one record", Reply((text("d", "id", "", "=$did"),))),
    _found("other records beside it", mine(SPF, text("did:plc:x"), text("xdid=did:plc:x"))),
    _found("a record that is not in ASCII beside it", mine(text(r"\195\188"))),
    _found("an empty record beside it", mine(text(""))),
    _found("a record of 16 KB beside it", mine(text(*["x" * 250] * 64))),
    _found("63 records beside it", mine(*MANY[:63])),
    _found("an alias of another name", Reply(mine().records, ("handles.situations.net",))),
    _found("an alias of an alias of an alias", Reply(mine().records, ("a.net", "b.net", "c.net"))),
    _found("cut short over UDP, whole over TCP", Lie(mine(), "truncated over UDP")),
    _found("the first packet is lost", Lie(mine(), "lost at first")),
    _found("the first answer has the wrong id", Lie(mine(), "wrong id at first")),
    Situation("the same DID in two texts; a file", ACCOUNT, ACCOUNT, txt=(TWICE,), file=FILE),
    Situation(
        "the same DID in two texts; no file",
        NONE,
        ACCOUNT,
        "same DID twice",
        txt=(TWICE,),
    ),
    Situation(
        "64 records beside it",
        ACCOUNT,
        "PlatformUnavailable(dns_too_many_answers)",
        "limits",
        txt=(mine(*MANY),),
    ),
    Situation("64 records beside it; a file", ACCOUNT, ACCOUNT, txt=(mine(*MANY),), file=FILE),
    *_several("two different DIDs", text("did=$did"), text(f"did={OTHER}")),
    *_several("the DID, and `did=` without one", text("did=$did"), text("did=")),
    *_several("the DID, and one that is none", text("did=$did"), text("did=x")),
    *(
        Situation(f"{name}; {file}", ERROR, NO, txt=(Reply((record,)),), file=page)
        for name, record in NOT_A_DID.items()
        for file, page in (("a file", FILE), ("no file", None))
    ),
    *(
        each
        for table, without in ((NO_RECORD, NO), (NO_ANSWER, DNS), (LATE_ANSWERS, LATE))
        for name, answer in table.items()
        for each in _both(name, answer, without)
    ),
    Situation(
        "asked twice: SERVFAIL, then a record", ACCOUNT, ACCOUNT, txt=(SERVFAIL, mine()), twice=True
    ),
    Situation(
        "asked twice: no such name, then a record",
        ACCOUNT,
        ACCOUNT,
        txt=(NXDOMAIN, mine()),
        twice=True,
    ),
    Situation(
        "asked twice: a record, then no such name", NONE, NO, txt=(mine(), NXDOMAIN), twice=True
    ),
    Situation(
        "asked twice: a record, then SERVFAIL; no file",
        NONE,
        DNS,
        txt=(mine(), SERVFAIL),
        twice=True,
    ),
    Situation(
        "asked twice: another DID, then the right one",
        ACCOUNT,
        ACCOUNT,
        txt=(Reply((text(f"did={OTHER}"),)), mine()),
        twice=True,
    ),
    Situation(
        "asked twice: the right DID, then another one",
        ERROR,
        "PlatformUnavailable(status_404)",
        txt=(mine(), Reply((text(f"did={OTHER}"),))),
        twice=True,
    ),
)
