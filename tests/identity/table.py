"""Table: all situations, by group."""

from tests.identity.situation import Situation
from tests.identity.situations import addresses, documents, files, redirects, texts, webs

GROUPS: dict[str, tuple[Situation, ...]] = {
    "The TXT record": texts.SITUATIONS,
    "The well-known file": files.SITUATIONS,
    "Redirects of the well-known file": redirects.SITUATIONS,
    "The document of a did:plc": documents.SITUATIONS,
    "The document of a did:web": webs.SITUATIONS,
    "The addresses of the handle's host": addresses.SITUATIONS,
}
SITUATIONS: tuple[Situation, ...] = tuple(each for group in GROUPS.values() for each in group)
