"""The rows, in the order of SECURITY.md."""

from tests.attack.row import Row

from . import row_01_theft as theft
from . import row_02_tampering as tampering
from . import row_03_leaks as leaks
from . import row_04_internal_addresses as internal_addresses
from . import row_05_bombs as bombs
from . import row_06_takeover as takeover
from . import row_07_keys as keys
from . import row_08_tenants as tenants
from . import row_09_kills as kills
from . import row_10_rotation as rotation
from . import row_11_floods as floods
from . import row_12_cancelled as cancelled
from . import row_13_wire as wire
from . import row_14_faults as faults
from . import row_15_dependencies as dependencies
from . import row_16_versions as versions
from . import row_17_keyless_callers as keyless_callers
from . import row_18_neighbours as neighbours
from . import row_19_stops as stops
from . import row_20_races as races

ROWS = (
    Row(1, "The database, its log or a backup is stolen", theft.attack),
    Row(2, "A secret is moved, cut or flipped; what stands beside it is edited", tampering.attack),
    Row(3, "A secret in a log, a status, a header, a body, a repr or a dump", leaks.attack),
    Row(
        4, "A handle, a document or a redirect leads inside the network", internal_addresses.attack
    ),
    Row(5, "A server sends bombs, floods, drips or nonsense", bombs.attack),
    Row(6, "A domain or a document is taken over after the connect", takeover.attack),
    Row(7, "API keys: guessed, leaked, timed", keys.attack),
    Row(8, "One tenant reaching for another's", tenants.attack),
    Row(9, "kill -9 at any moment", kills.attack),
    Row(10, "The rotation of keys goes wrong", rotation.attack),
    Row(11, "Floods, slow and huge clients", floods.attack),
    Row(12, "Calls that are cancelled midway", cancelled.attack),
    Row(13, "The wire", wire.attack),
    Row(14, "Disk, database, keyring or clock fail", faults.attack),
    Row(15, "A dependency is swapped, or known to be bad", dependencies.attack),
    Row(16, "An old database meets a new program, and live meets sandbox", versions.attack),
    Row(17, "Callers without a key, by the thousand", keyless_callers.attack),
    Row(18, "One tenant's calls beside another's", neighbours.attack),
    Row(19, "A signal to stop while a node starts", stops.attack),
    Row(20, "Processes that write to the same rows at the same moment", races.attack),
)
