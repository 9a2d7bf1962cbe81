"""What is taken from a folder of templates, and what is reported of the rest."""

import io
import tarfile
from pathlib import Path

import pytest

from slipway.catalog.sources.scanner import ScanResult, digest, scan

ROOT = Path(__file__).parents[3]
GOOD = "name: web\nversion: 1.0.0\ndescription: A page.\nostemplate: debian-12-standard\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good template."""
    templates = tmp_path / "templates"
    (templates / "web" / "scripts").mkdir(parents=True)
    (templates / "web" / "template.yaml").write_text(GOOD)
    (templates / "web" / "scripts" / "10-go.sh").write_text("true\n")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "slipway.sh").write_text("# library\n")
    return templates


def described(folder: Path, more: str) -> ScanResult:
    """ScanResult after the template said more."""
    (folder / "web" / "template.yaml").write_text(GOOD + more)
    return scan(folder)


def test_own_templates_are_all_served() -> None:
    """The templates of this project have no fault."""
    result = scan(ROOT / "infra/lxc/templates")

    assert result.faults == ()
    assert [t.manifest.name for t in result.templates] == ["debian-base", "nginx-site", "postgresql"]


def test_archive_is_the_same_each_time(folder: Path) -> None:
    """The hash names the content, not the moment."""
    assert scan(folder) == scan(folder)


def test_archive_holds_script_library_and_manifest(folder: Path) -> None:
    """The provisioner finds everything in one archive."""
    archive = scan(folder).templates[0].archive

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getnames() == ["lib/slipway.sh", "manifest.json", "scripts/10-go.sh"]


def test_missing_library_is_a_fault_of_each_template(folder: Path) -> None:
    """It is reported like any other fault; what was served before stays."""
    (folder.parent / "lib" / "slipway.sh").unlink()

    result = scan(folder)

    assert result.templates == ()
    assert [fault.folder for fault in result.faults] == ["web"]
    assert "slipway.sh" in result.faults[0].message


def test_one_bad_template_hides_no_other(folder: Path) -> None:
    """The others are served, and the bad one is reported."""
    (folder / "bad").mkdir()

    result = scan(folder)

    assert [t.manifest.name for t in result.templates] == ["web"]
    assert [fault.folder for fault in result.faults] == ["bad"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("packges: {apt: [curl]}\n", "packges"),
        ("packages: {apt: ['curl; reboot']}\n", "packages.apt.0"),
        ("packages: {brew: [curl]}\n", "packages.brew"),
        ("scripts: {99-none.sh: {}}\n", "there is no scripts/99-none.sh"),
        ("files: [{path: /etc/none}]\n", "there is no files/etc/none"),
        ("variables: [{name: 'A B'}]\n", "variables.0.name"),
        ("tags: [a;b]\n", "tags.0"),
        ("x: [\n", "not YAML"),
    ],
)
def test_mistake_is_named(folder: Path, more: str, message: str) -> None:
    """A mistake is reported with its place."""
    result = described(folder, more)

    assert result.templates == ()
    assert message in result.faults[0].message


def test_link_is_refused(folder: Path) -> None:
    """An archive never carries what lies outside its template."""
    (folder / "web" / "files").mkdir()
    (folder / "web" / "files" / "passwd").symlink_to("/etc/passwd")

    assert "links" in scan(folder).faults[0].message


def test_script_needs_its_number(folder: Path) -> None:
    """Scripts run in the order of their numbers, so each has one."""
    (folder / "web" / "scripts" / "go.sh").write_text("true\n")

    assert "10-install.sh" in scan(folder).faults[0].message


def test_syntax_of_a_rendered_file_is_checked(folder: Path) -> None:
    """A file that can't be rendered is found before any container is built."""
    (folder / "web" / "files" / "etc").mkdir(parents=True)
    (folder / "web" / "files" / "etc" / "motd").write_text("{{ open")

    assert (
        "can't be rendered"
        in described(folder, "files: [{path: /etc/motd, render: true}]\n").faults[0].message
    )


def test_digest_changes_with_any_file(folder: Path) -> None:
    """A changed script is noticed without reading every file."""
    before = digest(folder)

    (folder / "web" / "scripts" / "10-go.sh").write_text("false; true\n")

    assert digest(folder) != before


@pytest.mark.parametrize(
    ("path", "content"),
    [("template.yaml", b"name: \xff\n"), ("template.yaml", b"x: 2024-13-45\n"), ("scripts/10-x.sh", b"\xff")],
)
def test_undecodable_file_is_a_fault_of_its_template_alone(folder: Path, path: str, content: bytes) -> None:
    """Bytes that are no text are reported, and the others are served."""
    (folder / "bad" / "scripts").mkdir(parents=True)
    (folder / "bad" / "template.yaml").write_text(GOOD.replace("web", "bad"))
    (folder / "bad" / path).write_bytes(content)

    result = scan(folder)

    assert [fault.folder for fault in result.faults] == ["bad"]
    assert [t.manifest.name for t in result.templates] == ["web"]


def test_linked_tree_is_refused(folder: Path, tmp_path: Path) -> None:
    """`files` itself can't lead out of the template either."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (folder / "web" / "files").symlink_to(tmp_path / "outside")

    assert "links are refused" in scan(folder).faults[0].message


@pytest.mark.parametrize(
    "more",
    [
        "resources: {memroy: 512}\n",
        "resources: {memory: 0}\n",
        "ports: [{port: 70000, name: web}]\n",
        "ports: [{port: 80, name: web, shceme: http}]\n",
        "health: {kind: http}\n",
        "health: {kind: command}\n",
        "credentials: [../password]\n",
        "variables: [{name: title, pattern: '['}]\n",
    ],
)
def test_wrong_value_is_refused(folder: Path, more: str) -> None:
    """A misspelt key or an impossible value is never silently nothing."""
    result = described(folder, more)

    assert result.templates == ()
    assert more.split(":", maxsplit=1)[0] in result.faults[0].message
