"""Read `template.yaml`: strict, with the place and the fix of each mistake.

What is written here by people becomes `slipway.contracts.templates.Manifest`, the form others rely on.
Unknown keys are errors: a misspelt `packges` must not be silently nothing.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import yaml
from jinja2 import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from slipway.catalog.manifest import wording, yaml_text
from slipway.catalog.manifest.texts import (
    Credential,
    GuestPath,
    Mode,
    Name,
    OsTemplate,
    Package,
    Tag,
    VariableName,
    Version,
)
from slipway.catalog.manifest.wording import shown
from slipway.contracts.container_specs import PackageSpec
from slipway.contracts.problems import Invalid
from slipway.contracts.templates import (
    HealthCheck,
    Manifest,
    Resources,
    TemplateFile,
    TemplatePort,
    TemplateScript,
    Variable,
)

SCRIPT_NAME = re.compile(r"^\d\d-[a-z0-9][a-z0-9-]*\.sh$")


class TemplateInvalid(Invalid):
    """A template folder has a wrong format."""

    code = "template.invalid"


_STRICT = ConfigDict(extra="forbid", frozen=True)


class VariablePart(Variable):
    """A value that a creation may set."""

    model_config = _STRICT

    name: VariableName
    is_required: bool = Field(default=False, alias="required")
    is_secret: bool = Field(default=False, alias="secret")
    generate: int | None = Field(default=None, ge=8, le=128)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            message = f"{shown(str(pattern))!r} is no regular expression: {error}"
            raise ValueError(message) from error
        return pattern

    @model_validator(mode="after")
    def _has_no_open_secret(self) -> "VariablePart":
        if self.is_secret and self.default is not None:
            message = (
                "a secret has no default, which everyone could read in the template: leave it out, and "
                "give it at the creation, or say `generate: 24`"
            )
            raise ValueError(message)
        return self


class ResourcesPart(Resources):
    """Defaults of the template, misspelt keys refused."""

    model_config = _STRICT

    cores: int = Field(default=1, ge=1, le=8192)
    memory: int = Field(default=512, ge=16)
    swap: int = Field(default=512, ge=0)
    disk: float = Field(default=4.0, gt=0, allow_inf_nan=False)


class PortPart(TemplatePort):
    """A port, misspelt keys refused."""

    model_config = _STRICT

    port: int = Field(ge=1, le=65535)
    name: Name


class FilePart(TemplateFile):
    """How one file of `files/` is placed in the guest."""

    model_config = _STRICT

    path: GuestPath
    owner: Name = "root"
    group: Name = "root"
    mode: Mode = "0644"
    is_rendered: bool = Field(default=False, alias="render")


class ScriptPart(BaseModel):
    """The settings of one script."""

    model_config = _STRICT

    description: str = ""
    timeout: int = Field(default=900, ge=1, le=86400)
    """Seconds."""
    enabled: bool = True


class HealthPart(HealthCheck):
    """The check that must pass before the container is ready."""

    model_config = _STRICT

    port: int | None = Field(default=None, ge=1, le=65535)
    timeout_seconds: int = Field(default=60, ge=1, le=600, alias="timeout")

    @model_validator(mode="after")
    def _is_complete(self) -> "HealthPart":
        if self.kind == "command" and not self.command:
            message = "a check of kind command needs `command`"
            raise ValueError(message)
        if self.kind != "command" and self.port is None:
            message = f"a check of kind {self.kind} needs `port`"
            raise ValueError(message)
        return self


class TemplatePart(BaseModel):
    """The whole of `template.yaml`."""

    model_config = _STRICT

    name: Name
    version: Version
    description: str
    ostemplate: OsTemplate
    tags: tuple[Tag, ...] = ()
    resources: ResourcesPart = ResourcesPart()
    packages: Mapping[Literal["apt", "apk", "dnf", "pip", "npm"], tuple[Package, ...]] = Field(
        default_factory=dict
    )
    variables: tuple[VariablePart, ...] = ()
    files: tuple[FilePart, ...] = ()
    scripts: Mapping[str, ScriptPart] = Field(default_factory=dict)
    ports: tuple[PortPart, ...] = ()
    credentials: tuple[Credential, ...] = ()
    health: HealthPart | None = None


def parse(text: str, *, folder: str, files: Mapping[str, bytes], scripts: Sequence[str]) -> Manifest:
    """Check a `template.yaml` against the files beside it, and return the manifest.

    Args:
        text: the file's content.
        folder: the folder's name, which must be the template's.
        files: guest path to content, of everything under `files/`.
        scripts: names of everything under `scripts/`.

    Raises:
        TemplateInvalid: with the places that are wrong.
    """
    part = _read(text)
    if part.name != folder:
        raise TemplateInvalid(f"template.yaml: name is {part.name!r}, but its folder is {folder!r}.")
    _check_scripts(part, scripts)
    _check_files(part, files)
    return _manifest(part, files, sorted(scripts))


def _read(text: str) -> TemplatePart:
    try:
        document = yaml_text.read(text)
    except yaml.YAMLError as error:
        raise TemplateInvalid(f"template.yaml is not YAML: {wording.syntax(error)}") from error
    except RecursionError as error:
        raise TemplateInvalid("template.yaml: it is nested too deeply to be read.") from error
    errors: Sequence[wording.Error] = []
    try:
        part = TemplatePart.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors()
    if errors or document.wrong or document.doubles:
        told = wording.faults(TemplatePart.model_json_schema(), document, errors)
        raise TemplateInvalid(f"template.yaml: {told}")
    return part


def _check_scripts(part: TemplatePart, scripts: Sequence[str]) -> None:
    for name in scripts:
        if not SCRIPT_NAME.fullmatch(name):
            raise TemplateInvalid(f"scripts/{name}: scripts are named like 10-install.sh.")
    for name in part.scripts:
        if name not in scripts:
            raise TemplateInvalid(f"template.yaml: scripts.{shown(name)}: there is no scripts/{shown(name)}.")


def _check_files(part: TemplatePart, files: Mapping[str, bytes]) -> None:
    environment = SandboxedEnvironment()
    for file in part.files:
        if file.path not in files:
            raise TemplateInvalid(f"template.yaml: files: there is no files{file.path}.")
        if file.is_rendered:
            content = files[file.path]
            carriage_returns = content.count(b"\r")
            if carriage_returns and not carriage_returns == content.count(b"\n") == content.count(b"\r\n"):
                message = "its lines have ends of several kinds; use LF alone, or CRLF alone"
                raise TemplateInvalid(f"files{file.path} can't be rendered: {message}.")
            try:
                environment.parse(content.decode())
            except (TemplateSyntaxError, UnicodeDecodeError) as error:
                raise TemplateInvalid(f"files{file.path} can't be rendered: {error}") from error


def _manifest(part: TemplatePart, files: Mapping[str, bytes], scripts: Sequence[str]) -> Manifest:
    described = {file.path: file for file in part.files}
    return Manifest(
        name=part.name,
        version=part.version,
        description=part.description,
        ostemplate=part.ostemplate,
        tags=part.tags,
        resources=part.resources,
        packages=tuple(PackageSpec(manager=m, names=names) for m, names in part.packages.items()),
        variables=part.variables,
        files=tuple(described.get(path) or FilePart(path=path) for path in sorted(files)),
        scripts=tuple(_script(name, part.scripts.get(name) or ScriptPart()) for name in scripts),
        ports=part.ports,
        credentials=part.credentials,
        health=part.health,
    )


def _script(name: str, part: ScriptPart) -> TemplateScript:
    return TemplateScript(
        name=name, description=part.description, timeout_seconds=part.timeout, is_enabled=part.enabled
    )
