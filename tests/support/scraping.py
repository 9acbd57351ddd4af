"""Scraping: the samples of /metrics, as Prometheus reads them."""

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape, by name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with that name and these labels; 0 if there are none."""
        wanted = set(labels.items())
        return sum(
            value for (of, found), value in self.samples.items() if of == name and wanted <= found
        )

    def label_values(self) -> set[str]:
        return {value for _, labels in self.samples for _, value in labels}


def parsed(text: str) -> Scrape:
    """Parse *text* with the library's own parser."""
    return Scrape(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


async def scraped(admin: str) -> Scrape:
    """Scrape the service at *admin* (HOST:PORT)."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        answer = await client.get(f"http://{admin}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return parsed(answer.text)
