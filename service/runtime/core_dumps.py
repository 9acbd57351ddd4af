"""Core dumps, which would hold passwords and keys: there are none."""

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4


def turn_off() -> None:
    """Have the system write none of this process, and on Linux show its memory to root alone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # a limit of 0 does not hold where dumps are piped to a program
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
