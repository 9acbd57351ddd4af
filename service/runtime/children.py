"""Children: the processes that the service starts, each of them this same program."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
# A child finds what its parent has found, and then what site-packages has: entries of an editable
# install are no folders, and are made by the child itself.
_PRELUDE = """
import json, sys
sys.path[:] = dict.fromkeys(json.loads(sys.argv.pop(1)) + sys.path)
from service.runtime import core_dumps
core_dumps.turn_off()
"""


def command(code: str, *arguments: str) -> Sequence[str]:
    """What runs *code*, which may import `service`, with *arguments* in `sys.argv[1:]`.

    Python is isolated (-I): neither PYTHON… variables nor files of the current folder have a part
    in it. Its first statements turn core dumps off. Nothing secret may be in an argument.
    """
    return [sys.executable, "-I", "-c", _PRELUDE + code, json.dumps(_path()), *arguments]


def _path() -> list[str]:
    """This process's `sys.path` without the current folder, unless this program lies there."""
    here = Path.cwd()
    found = [entry for entry in sys.path if os.path.isabs(entry) and Path(entry) != here]
    return found if _ROOT in found else [_ROOT, *found]
