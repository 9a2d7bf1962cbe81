"""What is counted and timed.

Labels are subject templates and closed sets, never a raw subject or an id, so the number of series does not
grow with the number of containers.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

queries = Counter(
    "slipway_queries", "Queries answered, by what came of them.", ["subject", "outcome"], registry=REGISTRY
)
query_seconds = Histogram(
    "slipway_query_seconds", "Time to answer a query.", ["subject"], buckets=_FAST, registry=REGISTRY
)
asked = Counter(
    "slipway_asked", "Queries asked, by what came of them.", ["subject", "outcome"], registry=REGISTRY
)
deliveries = Counter(
    "slipway_deliveries",
    "Stored messages handled, by what came of them.",
    ["consumer", "subject", "outcome"],
    registry=REGISTRY,
)
delivery_seconds = Histogram(
    "slipway_delivery_seconds",
    "Time to handle a stored message.",
    ["consumer"],
    buckets=(*_FAST, 120.0, 600.0, 3600.0),
    registry=REGISTRY,
)
published = Counter("slipway_published", "Messages stored by this service.", ["subject"], registry=REGISTRY)
consumer_pending = Gauge(
    "slipway_consumer_pending", "Messages a consumer has not been given yet.", ["consumer"], registry=REGISTRY
)
consumer_redelivered = Gauge(
    "slipway_consumer_redelivered", "Messages given again and still open.", ["consumer"], registry=REGISTRY
)
stream_bytes = Gauge(
    "slipway_stream_bytes", "What a stream or bucket keeps, in bytes.", ["stream"], registry=REGISTRY
)
stream_max_bytes = Gauge(
    "slipway_stream_max_bytes", "What it may keep; EVENTS refuses more.", ["stream"], registry=REGISTRY
)
outbox_waiting = Gauge("slipway_outbox_waiting", "Outbox rows the relay saw last.", registry=REGISTRY)
outbox_sent = Counter("slipway_outbox_sent", "Outbox rows that reached the bus.", registry=REGISTRY)
background_restarts = Counter(
    "slipway_background_restarts",
    "Background work started again after an error.",
    ["name"],
    registry=REGISTRY,
)
proxmox_unreadable = Counter(
    "slipway_proxmox_unreadable",
    "Rows and values in answers of Proxmox that could not be read and were left out.",
    ["endpoint"],
    registry=REGISTRY,
)


def render() -> bytes:
    """Write all series in Prometheus' text format."""
    return generate_latest(REGISTRY)
