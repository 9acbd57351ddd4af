"""The rows, in the order of SECURITY.md."""

from . import dependencies
from .row import Row

ROWS = (Row(15, "A dependency is swapped, or known to be bad", dependencies.attack),)
