"""All SQL of catalog. What changes here leaves through the outbox in the same transaction."""

from collections.abc import Iterable

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from slipway.catalog.tables import versions
from slipway.contracts.message import Moment
from slipway.contracts.templates import Manifest, Template, TemplateServed
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database


class TemplateStore:
    """Versions of templates."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def serve(self, manifest: Manifest, bundle: str, *, at: Moment) -> None:
        """Serve this version of a template from now on, with an event if it was not served before."""
        async with self._database.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(manifest.name))))
            served = await connection.scalar(
                select(versions.c.bundle).where(versions.c.name == manifest.name, versions.c.is_served)
            )
            if served == bundle:
                return
            await connection.execute(
                update(versions).where(versions.c.name == manifest.name).values(is_served=False)
            )
            values = {
                "version": manifest.version,
                "manifest": manifest.model_dump(mode="json"),
                "is_served": True,
                "created_at": at,
            }
            await connection.execute(
                insert(versions)
                .values(name=manifest.name, bundle=bundle, **values)
                .on_conflict_do_update(index_elements=["name", "bundle"], set_=values)
            )
            event = TemplateServed(id=manifest.name, version=manifest.version, bundle=bundle)
            await outbox.add(
                connection, event, message_id=f"template:{manifest.name}:{bundle}:{at.timestamp()}"
            )

    async def retire_all_but(self, names: Iterable[str]) -> None:
        """Stop serving templates whose folder is gone; their versions stay for jobs that use them."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(versions)
                .where(versions.c.is_served, versions.c.name.not_in(list(names)))
                .values(is_served=False)
            )

    async def served(self) -> tuple[Template, ...]:
        """Return every served template, by name."""
        query = select(versions).where(versions.c.is_served).order_by(versions.c.name)
        async with self._database.autocommit() as connection:
            rows = await connection.execute(query)
            return tuple(_template(row) for row in rows)

    async def find(self, name: str) -> Template | None:
        """Return one served template."""
        query = select(versions).where(versions.c.is_served, versions.c.name == name)
        async with self._database.autocommit() as connection:
            row = (await connection.execute(query)).first()
            return _template(row) if row else None


def _template(row: Row[tuple[object, ...]]) -> Template:
    return Template(
        name=row.name,
        manifest=Manifest.model_validate(row.manifest),
        bundle=row.bundle,
        created_at=row.created_at,
    )
