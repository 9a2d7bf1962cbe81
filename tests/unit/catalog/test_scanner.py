"""What is taken from a folder of templates, and what is reported of the rest."""

import io
import tarfile
from pathlib import Path

import pytest

from slipway.catalog.sources.scanner import ScanResult, digest, scan

ROOT = Path(__file__).parents[3]
MODE = 'It has to be four octal digits in quotes, like "0640".'
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


@pytest.mark.parametrize(
    ("more", "place", "written"),
    [
        ("files: [{path: /etc/a, mode: 0640}]\n", "files.0.mode", 'mode: "0640"'),
        ("files: [{path: /etc/a, mode: 1777}]\n", "files.0.mode", 'mode: "1777"'),
        ("files:\n- path: /etc/a\n  owner: 0\n", "files.0.owner", 'owner: "0"'),
        ("variables: [{name: a, default: NO}]\n", "variables.0.default", 'default: "NO"'),
        ("variables: [{name: a, default: on}]\n", "variables.0.default", 'default: "on"'),
        ("variables: [{name: a, default: Yes}]\n", "variables.0.default", 'default: "Yes"'),
        ("variables: [{name: a, default: 1.10}]\n", "variables.0.default", 'default: "1.10"'),
        ("variables: [{name: a, default: 1_000}]\n", "variables.0.default", 'default: "1_000"'),
        ("variables: [{name: a, default: 0x1F}]\n", "variables.0.default", 'default: "0x1F"'),
        ("variables: [{name: a, default: .inf}]\n", "variables.0.default", 'default: ".inf"'),
        ("variables: [{name: a, default: 22:22}]\n", "variables.0.default", 'default: "22:22"'),
        ("variables: [{name: a, default: 22:22.5}]\n", "variables.0.default", 'default: "22:22.5"'),
        ("variables: [{name: a, default: 2026-11-29}]\n", "variables.0.default", 'default: "2026-11-29"'),
        ("variables: [{name: a, default: 2026-13-45}]\n", "variables.0.default", 'default: "2026-13-45"'),
        ("variables: [{name: a, description: ~}]\n", "variables.0.description", 'description: "~"'),
        ("variables: [{name: a, description: Null}]\n", "variables.0.description", 'description: "Null"'),
        ("variables: [{name: a, description: }]\n", "variables.0.description", 'description: ""'),
        ("tags: [web, off]\n", "tags.1", '"off"'),
        ("packages: {on: [curl]}\n", "packages.on", '"on":'),
        ("scripts: {10: {}}\n", "scripts.10", '"10":'),
        ("off: 1\n", "off", '"off":'),
        ("resources: {features: {mount: 1.10}}\n", "resources.features.mount", 'mount: "1.10"'),
        ("health: {kind: command, command: yes}\n", "health.command", 'command: "yes"'),
    ],
)
def test_what_yaml_reads_as_no_text_is_told_with_its_quotes(
    folder: Path, more: str, place: str, written: str
) -> None:
    """Octal numbers, flags, versions, dates, minutes, nothing: how to write it stands in the message."""
    message = described(folder, more).faults[0].message

    assert f"{place}: YAML reads " in message
    assert "Quote " in message
    assert written in message
    assert "is meant" not in message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("files: [{path: /a, mode: 416}]\n", MODE),
        ("files: [{path: /a, mode: 640}]\n", MODE),
        ("files: [{path: /a, mode: 0o640}]\n", MODE),
        ("files: [{path: /a, mode: 'u+x'}]\n", MODE),
        ("files: [{path: /a, mode: '9999'}]\n", MODE),
        ("files: [{path: /a, policy: no}]\n", "It has to be one of replace, default, backup."),
        ("resources: {memory: 0512}\n", "16 or more, in plain decimal digits; if 330 is meant, write that."),
        ("ports: [{name: ssh, port: 22:22}]\n", "1 to 65535, in plain decimal digits; if 1342 is meant"),
        ("files: 3\n", "files: It has to be a list, like [a, b]"),
        ("tags: web\n", "tags: It has to be a list, like [a, b]"),
        ("files: [3]\n", "files.0: It has to be keys with values: path, owner, group, mode, policy, render."),
        ("health: on\n", "health: It has to be keys with values: kind, port, path, command, timeout."),
        ("packages: [curl]\n", "packages: It has to be keys with values"),
        ("packages: {brew: [curl]}\n", "brew: There is no such key; there are apt, apk, dnf, pip, npm."),
        ("packages: {apt: [a b]}\n", "packages.apt.0: It has to be a package's name, like nginx"),
        ("variables: [{name: A}]\n", "variables.0.name: It has to be a letter and up to 62 lower-case"),
        ("variables: [{}]\n", "variables.0.name: It is missing. It has to be a letter"),
        ("variables: [{name: a, default: [b]}]\n", "variables.0.default: It has to be a text."),
        ("variables: [{name: a, requierd: on}]\n", "requierd: There is no such key; there are name, descr"),
        ("scripts: {10-go.sh: {timeout: 0}}\n", "10-go.sh.timeout: It has to be a whole number from 1"),
        ("resources: {disk: .inf}\n", "resources.disk: It has to be a number over 0."),
        ("resources: {unprivileged: 3}\n", "resources.unprivileged: It has to be true or false."),
        ("resources: {features: {nesting: [1]}}\n", "It has to be true or false or a text."),
        ("health: {kind: http}\n", "health: a check of kind http needs `port`."),
        ("credentials: [a]\n", "credentials.0: It has to be a service and a name, in lower case, like post"),
        ("variables: [{name: a, secret: true, default: hunter2}]\n", "variables.0: a secret has no default"),
    ],
)  # fmt: skip
def test_what_has_to_be_there_is_told_in_words(folder: Path, more: str, message: str) -> None:
    """What the field takes, with an example: no pattern, no type of Python's, no advice refused next."""
    told = described(folder, more).faults[0].message

    assert message in told
    assert not any(
        word in told for word in ("match pattern", "tuple", "dictionary", "Part", "Input", "hunter2")
    )


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.10", "version: YAML reads 1.10 as the number 1.1. It has to be three numbers with dots between"),
        ("'1.10'", 'version: It has to be three numbers with dots between, like "1.10.0".'),
        ("2026-11-29", "version: YAML reads 2026-11-29 as the date 2026-11-29. It has to be three numbers"),
    ],
)  # fmt: skip
def test_a_version_has_three_parts(folder: Path, version: str, message: str) -> None:
    """Quotes alone would not make one of two."""
    (folder / "web" / "template.yaml").write_text(GOOD.replace("1.0.0", version))

    assert message in scan(folder).faults[0].message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "x: @a",
            "line 5: while scanning for the next token: found character '@' that cannot start any token",
        ),
        ("x: `a`", "is quoted"),
        ("x: %a", "is quoted"),
        ("x: *a", "is quoted"),
        ("x: * a", "is quoted"),
        ("x: !a b", "is quoted"),
        ("x: |a", "is quoted"),
        ("x: {{ a }}", "is quoted"),
        ("x: a: b", 'is quoted: "a: b"'),
        ("x: - a", "is quoted"),
        ("\tx: 1", "indented with spaces"),
        ("x:\n\t- a", "line 6: while scanning for the next token: found character '\\t' that cannot"),
        ("x: [", "The bracket is not closed"),
        ("x: {a: 1", "The bracket is not closed"),
        ("x: 'a", "The quote is not closed"),
        ('x: "a\\d"', "use single quotes"),
        ('x: "a" b', "quote it"),
        ("---\na: b", "one document"),
        ("x: \0", "special characters are not allowed"),
    ],
)
def test_what_is_no_yaml_is_told_with_what_to_do(folder: Path, line: str, message: str) -> None:
    """The line, what YAML found there, and how it is written instead."""
    told = described(folder, f"{line}\n").faults[0].message

    assert told.startswith("template.yaml is not YAML: ")
    assert message in told


@pytest.mark.parametrize("nested", ["[" * 3000 + "]" * 3000, "{a: " * 3000 + "1" + "}" * 3000])
def test_a_deep_nesting_is_a_fault_of_the_file(folder: Path, nested: str) -> None:
    """In words of the file, not of the interpreter."""
    assert described(folder, f"x: {nested}\n").faults[0].message == (
        "template.yaml: it is nested too deeply to be read."
    )


@pytest.mark.parametrize(
    "more",
    [
        f"resources: {{cores: {'9' * 5000}}}\n",
        f"resources: {{cores: 0{'7' * 6000}}}\n",
        f"variables: [{{name: a, default: {'9' * 5000}}}]\n",
        f"variables: [{{name: a, default: 0.{'9' * 5000}}}]\n",
        f"variables: [{{name: a, pattern: '[{'a' * 5000}'}}]\n",
        f"{'a' * 900}: 1\n",
        f"x: *{'a' * 5000}\n",
        f"x: !{'a' * 5000} b\n",
        f"scripts: {{{'a' * 900}: {{}}}}\n",
        "".join(f"a{number}: 1\n" for number in range(5000)),
    ],
)
def test_no_message_repeats_a_value_at_length(folder: Path, more: str) -> None:
    """Nor does it tell thousands of faults."""
    told = described(folder, more).faults[0].message

    assert told.startswith("template.yaml")
    assert "date" not in told
    assert len(told) < 8000


def test_what_is_misread_is_told_together_with_other_mistakes(folder: Path) -> None:
    """Nobody corrects one line at a time."""
    more = "variables: [{name: a, default: NO}]\nresources: {memory: 0512, cores: 0}\npackges: {}\n"

    message = described(folder, more + "tags: [a, b]\ntags: [c]\n").faults[0].message

    for place in (
        "variables.0.default: ",
        "resources.memory: ",
        "resources.cores: ",
        "packges: ",
        "tags: It st",
    ):
        assert place in message


@pytest.mark.parametrize(
    "more",
    [
        'files: [{path: /etc/a, mode: "0640"}]\n',
        "files: [{path: /etc/a, mode: '640', render: no}]\n",
        "files: [{path: /etc/a, mode: '1777'}]\n",
        'files: [{path: /etc/a, mode: "4755"}]\n',
        "variables: [{name: a, secret: true, generate: 24}]\n",
        "variables: [{name: a, default: !!str 0640, required: yes}]\n",
        "variables: [{name: a, default: }]\n",
        "resources: {cores: 2, disk: 0.5, swap: 0, unprivileged: on}\n",
        "tags: &all [web_1, Web.2]\n",
    ],
)
def test_what_is_meant_as_it_is_read_is_taken(folder: Path, more: str) -> None:
    """Flags as flags, numbers as numbers, quoted texts as texts."""
    (folder / "web" / "files" / "etc").mkdir(parents=True)
    (folder / "web" / "files" / "etc" / "a").write_text("")

    assert described(folder, more).faults == ()


@pytest.mark.parametrize("text", ["", "- a\n", "a\n", "&a [*a]\n", "? [a]\n: b\n"])
def test_a_manifest_of_another_shape_is_a_fault(folder: Path, text: str) -> None:
    """Also one that leads back into itself."""
    (folder / "web" / "template.yaml").write_text(text)

    assert [fault.folder for fault in scan(folder).faults] == ["web"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!/bin/sh\r\ntrue\r\n", "10-go.sh: line 1 has a CR, as lines of Windows end with CRLF (2 of"),
        (b"#!/bin/sh\r\ntrue\n", "10-go.sh: line 1 has a CR, as lines of Windows end with CRLF (1 of"),
        (b"true\nfalse\r\n", "10-go.sh: line 2 has a CR"),
        (b"true\r", "10-go.sh: line 1 has a CR"),
        (b"#!/bin/sh\recho old\rtrue", "10-go.sh: line 1 has a CR"),
        (b"\xef\xbb\xbf#!/bin/sh\ntrue\n", "10-go.sh begins with a byte order mark"),
        (b"\xff\xfet\x00", "10-go.sh is not UTF-8"),
    ],
)
def test_a_script_that_sh_reads_otherwise_than_it_looks_is_a_fault(
    folder: Path, content: bytes, message: str
) -> None:
    """Found by the scan, not at three quarters of a creation."""
    (folder / "web" / "scripts" / "10-go.sh").write_bytes(content)

    result = scan(folder)

    assert result.templates == ()
    assert message in result.faults[0].message


def test_so_is_the_library_of_all_scripts(folder: Path) -> None:
    """Each script reads it first."""
    (folder.parent / "lib" / "slipway.sh").write_bytes(b"set -eu\r\n")

    assert "slipway.sh, line 1" in scan(folder).faults[0].message.replace(":", "")


def test_a_cr_within_a_line_is_the_scripts_own(folder: Path) -> None:
    """It moves the cursor of a terminal."""
    (folder / "web" / "scripts" / "10-go.sh").write_bytes(b"printf 'a\rb'\n")

    assert scan(folder).faults == ()


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_manifest_may_have_a_byte_order_mark_and_lines_of_windows(
    folder: Path, prefix: bytes, end: bytes
) -> None:
    """YAML reads both; no CR is left in a text."""
    text = GOOD + "variables:\n- name: a\n  default: |\n    b\n    c\n"
    (folder / "web" / "template.yaml").write_bytes(prefix + text.encode().replace(b"\n", end))

    manifest = scan(folder).templates[0].manifest

    assert (manifest.name, manifest.variables[0].default) == ("web", "b\nc\n")


@pytest.mark.parametrize("content", [b"a\r\nb\n\r\xff\r\n", b"\xef\xbb\xbfa\r\n"])
def test_a_delivered_file_is_packed_as_it_is(folder: Path, content: bytes) -> None:
    """What ends with CRLF there is meant to."""
    (folder / "web" / "files").mkdir()
    (folder / "web" / "files" / "a.bat").write_bytes(content)

    archive = scan(folder).templates[0].archive

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        packed = tar.extractfile("files/a.bat")
        assert packed is not None
        assert packed.read() == content


@pytest.mark.parametrize("content", [b"a\r\nb\n", b"a\rb\n"])
def test_a_rendered_file_has_one_kind_of_line_ends(folder: Path, content: bytes) -> None:
    """Rendering would make one kind of several, without a word."""
    (folder / "web" / "files").mkdir()
    (folder / "web" / "files" / "a").write_bytes(content)

    assert "several kinds" in described(folder, "files: [{path: /a, render: true}]\n").faults[0].message


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
