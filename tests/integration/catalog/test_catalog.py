"""Catalog on a real bus and a real database."""

from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.catalog.app import MIGRATIONS
from slipway.catalog.handlers import Handlers, TemplateNotFound
from slipway.catalog.scanner import scan
from slipway.catalog.schedule import Schedule
from slipway.catalog.settings import CatalogSettings
from slipway.catalog.store import TemplateStore
from slipway.contracts.problems import NotFound
from slipway.contracts.templates import GetTemplate, ListTemplates
from slipway.runtime.bundles import Bundles
from slipway.runtime.bus import Bus
from slipway.runtime.database import Database
from support.nats import MakeBus
from support.postgres import Databases

TEMPLATES = Path(__file__).parents[3] / "infra/lxc/templates"


def answering(database: Database, made: list[Schedule]) -> Callable[[Bus], None]:
    """Give what makes a bus answer catalog's queries."""

    def register(bus: Bus) -> None:
        store = TemplateStore(database)
        every = CatalogSettings.model_fields["scan_interval"].default
        schedule = Schedule(store, Bundles(bus), folder=TEMPLATES, every=every)
        handlers = Handlers(store, schedule)
        bus.answer(ListTemplates, handlers.list_templates)
        bus.answer(GetTemplate, handlers.get_template)
        made.append(schedule)

    return register


async def test_served_template_can_be_fetched_by_its_hash(make_bus: MakeBus, databases: Databases) -> None:
    """Who is told of a bundle gets exactly its bytes; an unknown template is told with the known ones."""
    database = Database(await databases.make("catalog", MIGRATIONS))
    made: list[Schedule] = []
    serving = await make_bus("catalog", answering(database, made))
    found = scan(TEMPLATES)
    await made[0].serve(found)
    gateway = await make_bus("gateway")

    listed = await gateway.ask(ListTemplates())
    nginx = await gateway.ask(GetTemplate(name="nginx-site"))

    assert [template.name for template in listed.items] == ["debian-base", "nginx-site", "postgresql"]
    assert await Bundles(serving).get(nginx.bundle) == found.templates[1].archive
    with pytest.raises(NotFound, match="nginx-site") as refused:
        await gateway.ask(GetTemplate(name="nope"))
    assert refused.value.code == TemplateNotFound.code
    await database.dispose()
