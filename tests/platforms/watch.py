"""Watch: searches logs and exceptions for secrets."""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest


class Watch:
    """Searches *records* of any logger, the service's own *events*, and exceptions."""

    def __init__(
        self, records: pytest.LogCaptureFixture, events: Sequence[Mapping[str, Any]]
    ) -> None:
        self._records = records
        self.events = events

    def finds(self, secrets: Sequence[str], error: BaseException | None = None) -> list[str]:
        """Return what contains any of *secrets*, or the end of one."""
        return [
            seen
            for seen in (*self._logged(), *shown(error))
            for secret in secrets
            if secret[:9] in seen or secret[-9:] in seen
        ]

    def _logged(self) -> Iterator[str]:
        yield from map(repr, self.events)
        for record in self._records.records:
            yield record.getMessage()
            yield repr(vars(record))
            if record.exc_info:
                yield logging.Formatter().formatException(record.exc_info)


def shown(error: BaseException | None) -> Iterator[str]:
    """Yield everything that an exception shows, with its visible causes and contexts."""
    if error is None:
        return
    yield from traceback.format_exception(error)
    yield from (repr(error), str(error), repr(error.args), repr(vars(error)))
    yield from shown(error.__cause__)
    if not error.__suppress_context__:
        yield from shown(error.__context__)
