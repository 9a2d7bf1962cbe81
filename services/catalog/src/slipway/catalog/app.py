"""Assembles catalog: the only module that knows all the others."""

from pathlib import Path

from slipway.catalog.handlers import Handlers
from slipway.catalog.publishing.store import TemplateStore
from slipway.catalog.settings import CatalogSettings
from slipway.catalog.sources.publisher import TemplatePublisher
from slipway.contracts.templates import GetTemplate, ListTemplates
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.client import Bus
from slipway.runtime.database import engine
from slipway.runtime.database.engine import Database
from slipway.runtime.database.outbox import Outbox
from slipway.runtime.process.service import Service

MIGRATIONS = Path(__file__).parent / "migrations"


def build() -> Service:
    """Build the service from its settings; opens nothing yet."""
    settings = CatalogSettings()
    bus = Bus(settings, service="catalog")
    tables = Database(settings)
    store = TemplateStore(tables)
    publisher = TemplatePublisher(
        store, Bundles(bus), folder=settings.templates_dir, every=settings.scan_interval
    )
    handlers = Handlers(store, publisher)
    bus.answer(ListTemplates, handlers.list_templates)
    bus.answer(GetTemplate, handlers.get_template)
    service = Service("catalog", settings, bus)
    service.ping("postgres", tables.ping)
    service.background("outbox", Outbox(tables, bus).run)
    service.background("scan", publisher.run)
    service.on_stop(tables.dispose)
    return service


async def migrate() -> None:
    """Bring the schema up to date."""
    await engine.migrate(CatalogSettings(), MIGRATIONS)
