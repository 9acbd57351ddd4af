"""Core dumps are off: they would hold passwords and keys."""

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4


def turn_off() -> None:
    """Turn off core dumps of this process; on Linux, let only root read its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # the limit does not apply where dumps are piped to a program
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
