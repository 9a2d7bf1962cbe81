"""Monitor's own metrics."""

import contextlib
import time

from prometheus_client import Gauge, Histogram

poll_seconds = Histogram(
    "slipway_monitor_poll_seconds",
    "Time of one poll of a cluster.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0),
    registry=None,
)
poll_age = Gauge(
    "slipway_monitor_poll_age_seconds",
    "Time since the last successful poll of a cluster by this replica; clusters are few.",
    ["cluster"],
    registry=None,
)


def record_poll(cluster: str) -> None:
    """Count the age of a cluster's last poll from now on."""
    at = time.monotonic()
    poll_age.labels(cluster).set_function(lambda: time.monotonic() - at)


def forget(cluster: str) -> None:
    """Remove the age of a cluster that this replica does not poll any more."""
    with contextlib.suppress(KeyError):
        poll_age.remove(cluster)
