"""Write openapi.json and openapi.html into a folder: python -m protos.openapi FOLDER"""

import json
import sys
from pathlib import Path

from protos.openapi.document import document
from protos.openapi.page import page

folder, built = Path(sys.argv[1]), document()
(folder / "openapi.json").write_text(json.dumps(built, ensure_ascii=False), "utf-8")
(folder / "openapi.html").write_text(page(built), "utf-8")
