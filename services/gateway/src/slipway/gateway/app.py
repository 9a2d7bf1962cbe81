"""Assembles the gateway: the only module that knows all the others."""

from pathlib import Path

from slipway.gateway.clients import Inventory
from slipway.gateway.http.api import build_api
from slipway.gateway.http.front import Front
from slipway.gateway.identity.auth import Auth
from slipway.gateway.identity.store import SessionStore
from slipway.gateway.settings import GatewaySettings
from slipway.gateway.streams.outages import Outages
from slipway.gateway.streams.relay import Relay, events_healed, viewers_open
from slipway.gateway.streams.replay import Replay
from slipway.gateway.streams.stream import EventStreams
from slipway.gateway.streams.viewer import viewers_dropped
from slipway.runtime.bus.client import Bus
from slipway.runtime.database import engine
from slipway.runtime.database.engine import Database
from slipway.runtime.process.metrics import show
from slipway.runtime.process.service import Service
from slipway.runtime.secrets.sealing import Sealer

MIGRATIONS = Path(__file__).parent / "migrations"


def build() -> Service:
    """Build the service from its settings; opens nothing yet."""
    return assemble(GatewaySettings())


def assemble(settings: GatewaySettings) -> Service:
    """Build the service from given settings."""
    bus = Bus(settings, service="gateway")
    tables = Database(settings)
    auth = Auth(settings.bootstrap_token_file, SessionStore(tables), settings.session_lifetime)
    relay = Relay(bus, most_viewers=settings.most_viewers)
    show(viewers_open, viewers_dropped, events_healed)
    service = Service("gateway", settings, bus)
    pauses = {"heartbeat": settings.heartbeat_comments, "grace": settings.slow_viewer_grace}
    streams = EventStreams(relay, Replay(relay, bus), service.stopping, **pauses)
    is_https = settings.public_url.startswith("https://")
    api = build_api(bus, Inventory(bus, Sealer(settings)), auth, is_public_https=is_https)
    service.app = Front(bus, api, streams, auth, body_within=settings.request_timeout)
    service.ping("postgres", tables.ping)
    service.ping_own_work("events", relay.ping)
    outages = Outages(
        bus,
        dict(service.pings),
        lambda event, lasts: relay.notify_all(event, lasts=lasts),
        watched=relay.watched,
    )
    service.ping_own_work("parts", outages.refresh)
    service.report_shortages(outages.shortages)
    service.background("outages", outages.run)
    service.on_start(auth.load)
    service.background("relay", relay.run)
    service.on_stop(tables.dispose)
    return service


async def migrate() -> None:
    """Bring the schema up to date."""
    await engine.migrate(GatewaySettings(), MIGRATIONS)
