"""Child processes, each of which runs code of this program."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
# The parent's path comes before the child's own: an editable install may have added entries that
# are not folders, which only the child's site-packages can restore.
_PRELUDE = """
import json, sys
sys.path[:] = dict.fromkeys(json.loads(sys.argv.pop(1)) + sys.path)
from service.runtime import core_dumps
core_dumps.turn_off()
"""


def command(code: str, *arguments: str) -> Sequence[str]:
    """Return the command that runs *code*, which may import `service`, with *arguments*.

    Python runs isolated (-I): it ignores PYTHON… variables and files of the current folder. Core
    dumps are off before *code* runs. Arguments are public: they must hold no secret.
    """
    return [sys.executable, "-I", "-c", _PRELUDE + code, json.dumps(_path()), *arguments]


def _path() -> list[str]:
    """Return `sys.path` without the current folder, unless that folder holds this program."""
    here = Path.cwd()
    entries = [entry for entry in sys.path if os.path.isabs(entry) and Path(entry) != here]
    return entries if _ROOT in entries else [_ROOT, *entries]
