"""Decisions: why our result differs from the reference's; a sentence for each reason."""

DECISIONS: dict[str, str] = {
    "addresses": (
        "A host of which any address is not public is refused: a stranger's DNS could otherwise "
        "make this service send requests into the operator's own network."
    ),
    "compressed": (
        "A compressed answer is refused, since none was asked for: it can expand to a thousand "
        "times its size in memory."
    ),
    "first valid": (
        "The DID specification takes the first *valid* handle in `alsoKnownAs`; the reference "
        "takes the first entry that begins with `at://`, valid or not."
    ),
    "hosts alone": (
        "The AT Protocol allows a did:web to hold a host name and nothing else: no port, no path."
    ),
    "letter case": (
        "Handles and URL schemes are equal in any letter case; the reference compares letter by "
        "letter."
    ),
    "limits": (
        "The size of every answer has a limit (64 DNS records, 8 addresses of a host, 128 KiB, "
        "the depth that the JSON parser allows), so that one server cannot take the memory and "
        "time of all callers."
    ),
    "names alone": (
        "The password goes to an account server with a public host name alone: an address in "
        "digits, or `localhost`, may lead into the operator's own network."
    ),
    "one family": (
        "The addresses of one family (IPv4 or IPv6) are enough if the name server does not answer "
        "for the other; the reference gives up after ten seconds."
    ),
    "one spelling": (
        "The DID is the key of an account here, so one host has one spelling: small letters, and "
        "no percent-encoding. Otherwise one account could be connected as two."
    ),
    "only what is used": (
        "A fault in a part of the document that is not needed to find the account server, such as "
        "the signing key, does not keep a user from connecting."
    ),
    "origin alone": (
        "The specification allows scheme, host and port in the address of an account server, and "
        "nothing else: with a path, a query or a user name, different programs can read it as "
        "different servers, and the password would go to the wrong one."
    ),
    "plain http": (
        "Only https is used: an attacker on the network path can forge plain http, and so choose "
        "the server that the password goes to."
    ),
    "ports": (
        "Only port 443 is used: any other would let strangers make this service probe the ports of "
        "other machines."
    ),
    "redirects": (
        "At most three redirects are followed, so that a stranger's server cannot keep a call "
        "busy; the reference follows twenty."
    ),
    "same DID twice": (
        "Several records with one DID agree with each other; the handle specification rejects "
        "different DIDs alone. The reference rejects any second record."
    ),
    "several DIDs": (
        "TXT records that name different DIDs are a conflict, which the handle specification "
        "rejects; the reference lets the well-known file decide."
    ),
}
