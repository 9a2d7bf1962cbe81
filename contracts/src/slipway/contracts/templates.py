"""Templates: what catalog serves. The archive itself lies in the object store `bundles`."""

from typing import ClassVar, Literal

from pydantic import Field

from slipway.contracts.container_specs import PackageSpec
from slipway.contracts.message import Event, Id, Moment, Query, Value


class Variable(Value):
    """A value that the one who creates may give."""

    name: str
    description: str = ""
    default: str | None = None
    """None with `is_required` false is the empty string."""
    is_required: bool = False
    is_secret: bool = False
    generate: int | None = None
    """A secret of so many characters is generated when none is given."""
    pattern: str | None = None


class Resources(Value):
    """Defaults of the template."""

    cores: int = 1
    memory: int = 512
    """MiB."""
    swap: int = 512
    disk: float = 4.0
    """GiB."""
    unprivileged: bool = True
    features: dict[str, bool | str] = Field(default_factory=dict)


class TemplateFile(Value):
    """One file of the tree that mirrors the guest's."""

    path: str
    """Guest path."""
    owner: str = "root"
    group: str = "root"
    mode: str = "0644"
    policy: Literal["replace", "default", "backup"] = "replace"
    is_rendered: bool = False
    """Whether `{{ variable }}` in it is replaced at deploy."""


class TemplateScript(Value):
    """One script, `NN-name.sh`."""

    name: str
    description: str = ""
    timeout_seconds: int = 900
    is_enabled: bool = True


class TemplatePort(Value):
    """A port that the template's services listen on."""

    port: int
    name: str
    scheme: Literal["http", "https", "tcp"] = "tcp"
    path: str = "/"


class HealthCheck(Value):
    """What must hold before the container is ready."""

    kind: Literal["http", "tcp", "command"]
    port: int | None = None
    path: str = "/"
    command: str | None = None
    """Run by `sh` inside the guest."""
    timeout_seconds: int = 60


class Manifest(Value):
    """`template.yaml`, read and checked."""

    name: str
    version: str
    description: str
    ostemplate: str
    """Start of the archive's name: `debian-12-standard`."""
    tags: tuple[str, ...] = ()
    resources: Resources = Resources()
    packages: tuple[PackageSpec, ...] = ()
    variables: tuple[Variable, ...] = ()
    files: tuple[TemplateFile, ...] = ()
    scripts: tuple[TemplateScript, ...] = ()
    ports: tuple[TemplatePort, ...] = ()
    credentials: tuple[str, ...] = ()
    """Names that its scripts save: `postgresql/password`."""
    health: HealthCheck | None = None


class Template(Value):
    """A version of a template, as served.

    The archive is a tar of `manifest.json` (a Manifest), `scripts/NAME`, `files/GUEST/PATH`,
    `lib/slipway.sh`.
    """

    name: str
    manifest: Manifest
    bundle: str
    """SHA-256 of the archive."""
    created_at: Moment


class TemplateFault(Value):
    """A template folder that can't be served, and why."""

    folder: str
    message: str


class TemplateList(Value):
    """All templates in their newest version, and the folders that could not be read."""

    items: tuple[Template, ...]
    faults: tuple[TemplateFault, ...] = ()
    next: str | None = None


class ListTemplates(Query[TemplateList]):
    """Templates by name."""

    subject: ClassVar[str] = "slipway.v1.query.catalog.template.list"


class GetTemplate(Query[Template]):
    """One template in its newest version, by name."""

    subject: ClassVar[str] = "slipway.v1.query.catalog.template.get"
    name: str


class TemplateServed(Event):
    """A new version of a template is served."""

    subject: ClassVar[str] = "slipway.v1.event.template.{id}.served"
    id: Id
    """The template's name."""
    version: str
    bundle: str
