"""Answers catalog's queries."""

from slipway.catalog.manifest.model import TemplateInvalid
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
        """Return one template.

        Raises:
            TemplateInvalid: It is there and can't be used; with the reason.
            TemplateNotFound: There is none.
        """
        template = await self._store.find(query.name)
        if template is None:
            for fault in self._publisher.faults:
                if fault.folder == query.name:
                    message = f"There is a template {query.name!r}, but it can't be used. {fault.message}"
                    raise TemplateInvalid(message, errors=[FieldError(field="template", message=message)])
            names = ", ".join(each.name for each in await self._store.served()) or "none"
            message = f"There is no template {query.name!r}. Known ones: {names}."
            raise TemplateNotFound(message, errors=[FieldError(field="template", message=message)])
        return template
