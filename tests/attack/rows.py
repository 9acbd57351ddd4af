"""The rows, in the order of SECURITY.md."""

from . import dependencies, kills
from .row import Row

ROWS = (
    Row(9, "kill -9 at any moment", kills.attack),
    Row(15, "A dependency is swapped, or known to be bad", dependencies.attack),
)
