"""The modes: the checks, and for tests what a caller sees of a node that ends, and of bad input."""

import sys

from postcore_example.bad_input import reach, refusals
from postcore_example.check import check
from postcore_example.follow import follow

MODES = {"check": check, "follow": follow, "refusals": refusals, "reach": reach}

if __name__ == "__main__":
    mode = MODES.get(sys.argv[1] if len(sys.argv) > 1 else "check")
    if mode is None:
        sys.exit("modes: check, follow, refusals, reach")
    sys.exit(mode())
