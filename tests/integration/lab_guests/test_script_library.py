"""Each function of the library for template scripts, in a guest, under the shells that guests have."""

import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.lab.guests.protocol import Guests
from slipway.lab.ssh.apt import HOLD, LOCKS
from slipway.monitor.discovery.probes import credentials
from support.guest_specs import Ran, run, spec, wait_until_ready

ROOT = Path(__file__).parents[3]
LIBRARY = ROOT / "infra/lxc/lib/slipway.sh"
STATUS = ROOT / "infra/lxc/templates/nginx-site/scripts/10-status.sh"
LISTEN = ROOT / "infra/lxc/templates/postgresql/scripts/10-listen.sh"
SHELLS = [
    pytest.param(
        shell, marks=pytest.mark.skipif(shutil.which(shell[0]) is None, reason=f"no {shell[0]} here")
    )
    for shell in (("dash",), ("bash",), ("busybox", "sh"))
]
SAVED = "/etc/slipway/credentials/web"


class Shell:
    """A shell in a running guest, with the library at its place."""

    def __init__(self, guests: Guests, command: tuple[str, ...]) -> None:
        self._guests = guests
        self._command = command

    async def __call__(self, text: str) -> Ran:
        """Run a script that has begun with the library."""
        return await self.bare(f'. "$SLIPWAY_LIB"\n{text}')

    async def bare(self, text: str) -> Ran:
        """Run a whole script."""
        return await run(self._guests, 100, "env", "SLIPWAY_LIB=/opt/slipway.sh", *self._command, "-c", text)


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
async def shell(request: pytest.FixtureRequest, simulated: Guests) -> AsyncIterator[Shell]:
    """A guest that runs, and a shell in it."""
    await simulated.create(spec((await simulated.templates())[0]))
    await simulated.start(100)
    await wait_until_ready(simulated, 100)
    await run(simulated, 100, "sh", "-c", "cat >/opt/slipway.sh", stdin=LIBRARY.read_bytes())
    yield Shell(simulated, request.param)
    await simulated.stop(100)


async def test_log_goes_to_its_stream(shell: Shell) -> None:
    """What is said is output; warnings and errors are errors, and say which."""
    ran = await shell("log_info 'it is'; log_warn 'it may'; log_error 'it is not'")

    assert ran.output == "it is\n"
    assert ran.errors == "warning: it may\nerror: it is not\n"


async def test_facts_of_the_system(shell: Shell) -> None:
    """The system's name and version and the package manager are known."""
    ran = await shell('log_info "$SLIPWAY_OS $SLIPWAY_OS_VERSION $SLIPWAY_PKG"')

    assert ran.output == "debian 12 apt-get\n"


async def test_what_is_missing_is_installed_once(shell: Shell) -> None:
    """A second run finds it there and installs nothing."""
    first = await shell("is_installed hello && exit 9; ensure_installed hello; is_installed hello")
    second = await shell("ensure_installed hello")

    assert first.code == 0, first.errors
    assert "Setting up hello" in first.output
    assert (second.code, second.output) == (0, "")


async def test_another_package_manager_is_waited_for(shell: Shell) -> None:
    """Whichever lock it holds, under each shell."""
    hold = shlex.join(("sh", "-c", HOLD, "sh", LOCKS["lists"], "3"))

    ran = await shell(f"{hold}\nensure_installed hello")

    assert ran.code == 0, ran
    assert ran.output.startswith("Waiting for /var/lib/apt/lists/lock, held by process ")
    assert "lock" not in ran.errors


async def test_password_has_its_length_and_is_new_each_time(shell: Shell) -> None:
    """Letters and digits, as many as asked for."""
    ran = await shell("generate_password; echo; generate_password; echo; generate_password 40")
    first, second, long = ran.output.split("\n")

    assert first.isalnum()
    assert (len(first), len(second), len(long)) == (24, 24, 40)
    assert first != second


async def test_credential_replaces_its_own_key_only(shell: Shell) -> None:
    """Others of the same service stay; nobody but root may read them."""
    saves = ("user admin", "password one", "password 'two words'")
    ran = await shell("\n".join(f"save_credential web {each}" for each in saves))
    stored = await shell.bare(f"cat {SAVED}; stat -c %a {SAVED} /etc/slipway/credentials")

    assert ran.code == 0, ran.errors
    assert stored.output.splitlines() == ["user=admin", "password=two words", "600", "700"]


VALUES = {
    "lines": "line1\nline2=abc\n=== other\n",
    "ends": "\n\n",
    "dos": "one\r\ntwo\r",
    "tab": "\ta\x1b[0m",
    "words": " a = b & c \\1 \\n .*[x]$(id)`id` '\"",
    "more": "pässwörd \u2028 ✓",
    "long": "k" * 9000 + "\n",
    "empty": "",
    "-n": "-e",
    "a.c": "1",
    "a&\\1[*]/": "2",
    "two words": "3",
}


async def test_credential_is_whole_whatever_it_holds(shell: Shell) -> None:
    """Names and values are taken as they are, before and after they are replaced; old lines stay."""
    await shell.bare(f"mkdir -p {credentials.FOLDER}; printf 'abc=old\\nlines=x\\nlast=1' >'{SAVED} & .*'")
    save = "\n".join(shlex.join(("save_credential", "web & .*", *each)) for each in VALUES.items())
    ran = [await shell(save) for _ in range(2)]
    printed = await shell.bare(credentials.COMMAND)
    found = {name: value.get_secret_value() for name, value in credentials.parse(printed.output).items()}
    lines = await shell.bare(f"grep -c . '{SAVED} & .*'")

    assert [(each.code, each.errors) for each in ran] == [(0, "")] * 2
    expected = {"abc": "old", "last": "1"} | VALUES
    assert found == {f"web & .*/{key}": value for key, value in expected.items()}
    assert int(lines.output) == len(expected)


@pytest.mark.parametrize(
    ("service", "key"),
    [("a/b", "k"), ("..", "k"), ("", "k"), (".a", "k"), ("a\nb", "k")]
    + [("web", key) for key in ("", "a=b", "a\nb", "#a", " a", "a ", "a\tb", "a\r", "a:base64")],
)
async def test_credential_with_an_unusable_name_is_refused(shell: Shell, service: str, key: str) -> None:
    """Nothing is stored, and the script ends with the reason; the value is not in it."""
    ran = await shell(shlex.join(("save_credential", service, key, "hush")) + "; echo on")
    stored = await shell.bare(f"ls -A {credentials.FOLDER}")

    assert (ran.code, ran.output, stored.output) == (1, "", "")
    assert ran.errors.startswith("error: save_credential")
    assert "hush" not in ran.errors


async def test_credential_that_can_not_be_encoded_is_refused(shell: Shell) -> None:
    """Without base64 a value of several lines is refused, and what was stored stays."""
    ran = await shell(
        "save_credential web key old; base64() { return 127; }; save_credential web key 'one\ntwo'; echo on"
    )
    stored = await shell.bare(f"cat {SAVED}")

    assert (ran.code, ran.output, stored.output) == (1, "", "key=old\n")
    assert "needs the program base64" in ran.errors


async def test_credential_that_is_too_long_is_refused(shell: Shell) -> None:
    """The longest is stored; of a longer one nothing is."""
    save = "save_credential web key \"$(head -c {} /dev/zero | tr '\\0' x)\""
    ran = [await shell(save.format(size)) for size in (65536, 65537)]
    stored = await shell.bare(f"wc -c <{SAVED}")

    assert [each.code for each in ran] == [0, 1]
    assert ran[1].errors == "error: save_credential web: a value has at most 65536 bytes\n"
    assert int(stored.output) == len("key=") + 65536 + 1


async def test_credentials_that_are_too_much_together_are_refused(shell: Shell) -> None:
    """What would not be found whole is not stored, and what was stays; one may be replaced at the limit."""
    save = "value=$(head -c 60000 /dev/zero | tr '\\0' x); save_credential web$1 key \"$value\""
    ran = [await shell(f"set -- {number}; {save}") for number in (1, 2, 3, 4, 5, 6, 6, 7)]
    stored = await shell.bare(f"ls -A {credentials.FOLDER}; cat {credentials.FOLDER}/* | wc -c")

    assert [each.code for each in ran] == [0] * 7 + [1]
    assert "at most 400000 bytes" in ran[-1].errors
    assert stored.output.split() == [f"web{number}" for number in range(1, 7)] + [str(6 * 60_005)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_port_is_waited_for_without_ss(shell: Shell, address: str) -> None:
    """A guest that has only grep, sleep and printf is enough."""
    listen = f"import socket; s = socket.create_server(('{address}', 8123), family=socket.AF_INET"
    listen += "6" if ":" in address else ""
    few = 'mkdir -p /opt/few; for each in grep sleep; do ln -sf "$(command -v $each)" /opt/few; done'
    ran = await shell(
        f"""{few}
        python3 -c "{listen}); import time; time.sleep(60)" &
        server=$!
        PATH=/opt/few
        wait_for_port 8123 10 || exit 8
        is_listening 812 && exit 9
        code=0
        wait_for_port 8124 1 || code=$?
        kill $server
        exit $code"""
    )

    assert ran.code == 1, ran
    assert ran.errors == "error: nothing listens on port 8124\n"


@pytest.mark.parametrize("without", ["", "rm -f /usr/bin/runuser /usr/sbin/runuser\n"])
async def test_command_runs_as_another_user(shell: Shell, without: str) -> None:
    """With `runuser`, or with `su` where that is missing; words and options arrive as they are."""
    ran = await shell(without + "as_user nobody sh -c 'echo $USER \"$1\" $2' - 'two  words' -v")

    assert ran.output == "nobody two  words -v\n", ran


async def test_status_password_is_whole_or_not_there(shell: Shell) -> None:
    """A script that was killed before nginx could read the file makes it anew."""
    await shell.bare("mkdir -p /etc/nginx; umask 077; echo half >/etc/nginx/status.passwd.new")
    first = await shell.bare(STATUS.read_text())
    made = await shell.bare(
        "cat /etc/nginx/status.passwd; ls /etc/nginx; stat -c %a /etc/nginx/status.passwd"
    )
    again = await shell.bare(STATUS.read_text())

    assert first.code == 0, first.errors
    assert made.output.startswith("status:$apr1$")
    assert made.output.splitlines()[1:] == ["status.passwd", "640"]
    assert again.output == "the password of /status exists already\n"


async def test_database_without_a_cluster_is_reported(shell: Shell) -> None:
    """Nothing is made in a folder that is not there."""
    ran = await shell.bare(LISTEN.read_text())
    made = await shell.bare("ls /etc/postgresql")

    assert ran.code == 1
    assert ran.errors == "error: there is no database cluster in /etc/postgresql\n"
    assert made.output == ""
