"""The rows, in the order of SECURITY.md."""

from . import (
    bombs,
    cancelled,
    dependencies,
    floods,
    inside,
    keys,
    kills,
    leaks,
    misfortunes,
    neighbours,
    rotation,
    takeover,
    tampering,
    tenants,
    theft,
    versions,
    way_in,
    wire,
)
from .row import Row

ROWS = (
    Row(1, "The database, its log or a backup is stolen", theft.attack),
    Row(2, "A secret is moved, cut or flipped; what stands beside it is edited", tampering.attack),
    Row(3, "A secret in a log, a status, a header, a body, a repr or a dump", leaks.attack),
    Row(4, "A handle, a document or a redirect leads inside the network", inside.attack),
    Row(5, "A server sends bombs, floods, drips or nonsense", bombs.attack),
    Row(6, "A domain or a document is taken over after the connect", takeover.attack),
    Row(7, "API keys: guessed, leaked, timed", keys.attack),
    Row(8, "One tenant reaching for another's", tenants.attack),
    Row(9, "kill -9 at any moment", kills.attack),
    Row(10, "The rotation of keys goes wrong", rotation.attack),
    Row(11, "Floods, slow and huge clients", floods.attack),
    Row(12, "Calls that are cancelled midway", cancelled.attack),
    Row(13, "The wire", wire.attack),
    Row(14, "Disk, database, ring or clock fail", misfortunes.attack),
    Row(15, "A dependency is swapped, or known to be bad", dependencies.attack),
    Row(16, "An old database meets a new program, and live meets sandbox", versions.attack),
    Row(17, "Callers without a key, by the thousand", way_in.attack),
    Row(18, "One tenant's calls beside another's", neighbours.attack),
)
