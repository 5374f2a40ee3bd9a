"""How long a report takes until it is durable: the figure that everything else stands on."""

from datetime import timedelta

from prometheus_client import CollectorRegistry, Histogram

STEPS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Seconds; 25 and 250 ms are what is promised of an ordinary and of the worst minute."""


class Accepts:
    def __init__(self) -> None:
        self.figures = CollectorRegistry()
        self._took = Histogram(
            "sos_accept_seconds",
            "From a report's arrival until it is durable",
            ["durability"],
            buckets=STEPS,
            registry=self.figures,
        )

    def note(self, took: timedelta, *, durability: str) -> None:
        self._took.labels(durability).observe(max(0.0, took.total_seconds()))
