"""Answers catalog's queries."""

from slipway.catalog.publishing.store import TemplateStore
from slipway.catalog.sources.publisher import TemplatePublisher
from slipway.contracts.problems import FieldError, NotFound
from slipway.contracts.templates import GetTemplate, ListTemplates, Template, TemplateList
from slipway.runtime.bus.call import Call


class TemplateNotFound(NotFound):
    """No template of that name is served."""

    code = "template.not-found"


class Handlers:
    """One method per subject."""

    def __init__(self, store: TemplateStore, publisher: TemplatePublisher) -> None:
        self._store = store
        self._publisher = publisher

    async def list_templates(self, _query: ListTemplates, _call: Call) -> TemplateList:
        """List what is served and what could not be read."""
        return TemplateList(items=await self._store.served(), faults=self._publisher.faults)

    async def get_template(self, query: GetTemplate, _call: Call) -> Template:
        """Return one template."""
        template = await self._store.find(query.name)
        if template is None:
            names = ", ".join(each.name for each in await self._store.served()) or "none"
            message = f"There is no template {query.name!r}. Known ones: {names}."
            raise TemplateNotFound(message, errors=[FieldError(field="template", message=message)])
        return template
