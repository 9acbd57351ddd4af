"""Every SQL statement of the store, by module and name."""

import importlib
import pkgutil

from service.storage import statements
from service.storage.statements import audit, secrets


def every_statement() -> dict[str, str]:
    found = {
        "audit.add_rows": audit.add_rows(2),
        "secrets.sealed_otherwise": secrets.sealed_otherwise("sessions"),
        "secrets.replace_unchanged": secrets.replace_unchanged("sessions"),
    }
    for part in pkgutil.iter_modules(statements.__path__):
        module = importlib.import_module(f"{statements.__name__}.{part.name}")
        for name, value in vars(module).items():
            if not name.isupper() or name.startswith("_"):
                continue
            if isinstance(value, str):
                found[f"{part.name}.{name}"] = value
            elif isinstance(value, tuple):
                for number, each in enumerate(value):
                    found[f"{part.name}.{name}.{number}"] = each
    assert len(found) > 60
    return found
