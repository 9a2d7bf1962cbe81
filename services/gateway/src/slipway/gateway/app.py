"""Assembles the gateway: the only module that knows all the others."""

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from slipway.gateway.clients import Inventory
from slipway.gateway.http.api import build_api
from slipway.gateway.http.front import Front
from slipway.gateway.http.proxies import Proxies, origin_of_url
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
from slipway.runtime.process.certificate import CertificateFiles
from slipway.runtime.process.health import Https
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
    public = urlsplit(settings.public_url)
    auth = Auth(
        settings.bootstrap_token_file,
        SessionStore(tables),
        settings.session_lifetime,
        origin=origin_of_url(settings.public_url) if settings.public_url else None,
    )
    relay = Relay(bus, most_viewers=settings.most_viewers)
    show(viewers_open, viewers_dropped, events_healed)
    service = Service("gateway", settings, bus)
    pauses = {"heartbeat": settings.heartbeat_comments, "grace": settings.slow_viewer_grace}
    streams = EventStreams(relay, Replay(relay, bus), service.stopping, **pauses)
    api = build_api(bus, Inventory(bus, Sealer(settings)), auth, path=public.path.rstrip("/"))
    service.app = Front(bus, api, streams, auth, body_within=settings.request_timeout)
    service.around = partial(Proxies, trusted=settings.trusted_proxies, public_url=settings.public_url)
    if settings.tls_certificate_file is not None and settings.tls_key_file is not None:
        files = CertificateFiles(settings.tls_certificate_file, settings.tls_key_file)
        service.serve_https(Https(host=settings.https_host, port=settings.https_port, files=files))
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
