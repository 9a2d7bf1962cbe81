"""What is counted and timed.

Labels are subject templates and closed sets, never a raw subject or an id, so the number of series does not
grow with the number of containers.
"""

import contextlib
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
_counter = partial(Counter, registry=REGISTRY)
_gauge = partial(Gauge, registry=REGISTRY)
_histogram = partial(Histogram, registry=REGISTRY)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

queries = _counter("slipway_queries", "Queries answered, by what came of them.", ["subject", "outcome"])
query_seconds = _histogram("slipway_query_seconds", "Time to answer a query.", ["subject"], buckets=_FAST)
asked = _counter("slipway_asked", "Queries asked, by what came of them.", ["subject", "outcome"])
deliveries = _counter(
    "slipway_deliveries", "Stored messages handled, by what came of them.", ["consumer", "subject", "outcome"]
)
delivery_seconds = _histogram(
    "slipway_delivery_seconds",
    "Time to handle a stored message.",
    ["consumer"],
    buckets=(*_FAST, 120.0, 600.0, 3600.0),
)
published = _counter("slipway_published", "Messages stored by this service.", ["subject"])
consumer_pending = _gauge(
    "slipway_consumer_pending", "Messages a consumer has not been given yet.", ["consumer"]
)
consumer_redelivered = _gauge(
    "slipway_consumer_redelivered", "Messages given again and still open.", ["consumer"]
)
stream_bytes = _gauge("slipway_stream_bytes", "What a stream or bucket keeps, in bytes.", ["stream"])
stream_max_bytes = _gauge("slipway_stream_max_bytes", "What it may keep; EVENTS refuses more.", ["stream"])
outbox_waiting = _gauge("slipway_outbox_waiting", "Outbox rows the relay saw last.")
outbox_sent = _counter("slipway_outbox_sent", "Outbox rows that reached the bus.")
background_restarts = _counter(
    "slipway_background_restarts", "Background work started again after an error.", ["name"]
)
proxmox_unreadable = _counter(
    "slipway_proxmox_unreadable",
    "Rows and values in answers of Proxmox that could not be read and were left out.",
    ["endpoint"],
)


def show(*metrics: Collector) -> None:
    """Show metrics of the one service that this process runs.

    Its modules make them without a registry: the processes of `slipway up` have the modules of all services.
    """
    for metric in metrics:
        with contextlib.suppress(ValueError):
            # It is shown already, where one process builds a service twice.
            REGISTRY.register(metric)


def render() -> bytes:
    """Write all series in Prometheus' text format."""
    return generate_latest(REGISTRY)
