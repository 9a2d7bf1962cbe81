"""Read `template.yaml`: strict, with the place and the fix of each mistake.

What is written here by people becomes `slipway.contracts.templates.Manifest`, the form others rely on.
Unknown keys are errors: a misspelt `packges` must not be silently nothing.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import yaml
from jinja2 import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

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

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Package = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9@][a-zA-Z0-9@/_.:~+=<>-]{0,127}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
GuestPath = Annotated[str, StringConstraints(pattern=r"^/[^\n\x00]{1,255}$")]
Credential = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$")]
SCRIPT_NAME = re.compile(r"^\d\d-[a-z0-9][a-z0-9-]*\.sh$")


class TemplateInvalid(Invalid):
    """A template folder has a wrong format."""

    code = "template.invalid"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariablePart(_Part):
    """A value that a creation may set."""

    name: VariableName
    description: str = ""
    default: str | None = None
    required: bool = False
    secret: bool = False
    generate: int | None = Field(default=None, ge=8, le=128)
    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            message = f"{pattern!r} is no regular expression: {error}"
            raise ValueError(message) from error
        return pattern


class ResourcesPart(Resources):
    """Defaults of the template, misspelt keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: int = Field(default=1, ge=1, le=8192)
    memory: int = Field(default=512, ge=16)
    swap: int = Field(default=512, ge=0)
    disk: float = Field(default=4.0, gt=0)


class PortPart(TemplatePort):
    """A port, misspelt keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(ge=1, le=65535)
    name: Name


class FilePart(_Part):
    """How one file of `files/` is placed in the guest."""

    path: GuestPath
    owner: Name = "root"
    group: Name = "root"
    mode: Annotated[str, StringConstraints(pattern=r"^0[0-7]{3}$")] = "0644"
    policy: Literal["replace", "default", "backup"] = "replace"
    render: bool = False


class ScriptPart(_Part):
    """The settings of one script."""

    description: str = ""
    timeout: int = Field(default=900, ge=1, le=86400)
    """Seconds."""
    enabled: bool = True


class HealthPart(_Part):
    """The check that must pass before the container is ready."""

    kind: Literal["http", "tcp", "command"]
    port: int | None = Field(default=None, ge=1, le=65535)
    path: str = "/"
    command: str | None = None
    timeout: int = Field(default=60, ge=1, le=600)
    """Seconds."""

    @model_validator(mode="after")
    def _is_complete(self) -> "HealthPart":
        if self.kind == "command" and not self.command:
            message = "a check of kind command needs `command`"
            raise ValueError(message)
        if self.kind != "command" and self.port is None:
            message = f"a check of kind {self.kind} needs `port`"
            raise ValueError(message)
        return self


class TemplatePart(_Part):
    """The whole of `template.yaml`."""

    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    description: str
    ostemplate: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")]
    tags: tuple[Name, ...] = ()
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
        return TemplatePart.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise TemplateInvalid(f"template.yaml is not YAML: {error}".replace("\n", " ")) from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise TemplateInvalid("template.yaml: " + "; ".join(faults)) from error


def _check_scripts(part: TemplatePart, scripts: Sequence[str]) -> None:
    for name in scripts:
        if not SCRIPT_NAME.fullmatch(name):
            raise TemplateInvalid(f"scripts/{name}: scripts are named like 10-install.sh.")
    for name in part.scripts:
        if name not in scripts:
            raise TemplateInvalid(f"template.yaml: scripts.{name}: there is no scripts/{name}.")


def _check_files(part: TemplatePart, files: Mapping[str, bytes]) -> None:
    environment = SandboxedEnvironment()
    for file in part.files:
        if file.path not in files:
            raise TemplateInvalid(f"template.yaml: files: there is no files{file.path}.")
        if file.render:
            try:
                environment.parse(files[file.path].decode())
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
        variables=tuple(_variable(variable) for variable in part.variables),
        files=tuple(_file(described.get(path) or FilePart(path=path)) for path in sorted(files)),
        scripts=tuple(_script(name, part.scripts.get(name) or ScriptPart()) for name in scripts),
        ports=part.ports,
        credentials=part.credentials,
        health=_health(part.health),
    )


def _variable(part: VariablePart) -> Variable:
    return Variable(
        name=part.name,
        description=part.description,
        default=part.default,
        is_required=part.required,
        is_secret=part.secret,
        generate=part.generate,
        pattern=part.pattern,
    )


def _file(part: FilePart) -> TemplateFile:
    return TemplateFile(
        path=part.path,
        owner=part.owner,
        group=part.group,
        mode=part.mode,
        policy=part.policy,
        is_rendered=part.render,
    )


def _script(name: str, part: ScriptPart) -> TemplateScript:
    return TemplateScript(
        name=name, description=part.description, timeout_seconds=part.timeout, is_enabled=part.enabled
    )


def _health(part: HealthPart | None) -> HealthCheck | None:
    if part is None:
        return None
    return HealthCheck(
        kind=part.kind, port=part.port, path=part.path, command=part.command, timeout_seconds=part.timeout
    )
