"""The forced command that the token script binds an SSH key to: what it lets through, and what it refuses."""

import shlex
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncssh
import pytest
from pydantic import SecretStr

from slipway.lab.node import Lab
from slipway.proxmox.access import NodeAccess
from slipway.proxmox.detached import Detached, Exited
from slipway.proxmox.errors import CommandForbidden
from slipway.proxmox.files import GuestFile, deploy
from slipway.proxmox.login import check_login
from slipway.proxmox.pct import Pct, open_session
from slipway.proxmox.ssh import NodeShell
from support.bound_key import BoundKey, PretendNode, bind_key, login, run_script
from support.lab import api_client, new_container, root_client, started

SECONDS = timedelta(seconds=60)
MARK = "0123456789abcdef"
LIMITS = {"VMIDS": "100-101,300", "MOUNTS": "/srv", "DEVICES": "/dev/zero /dev/net", "FEATURES": "mknod"}


@pytest.fixture
async def key(lab: Lab) -> BoundKey:
    """A key that is bound on a node with some folders and devices."""
    host = lab.data / "host"
    for name in ("etc", "srv/media", "srv/open/inner", "dev/net"):
        (host / name).mkdir(parents=True, exist_ok=True)
    for name in ("etc/shadow", "dev/zero", "dev/net/tun", "dev/sda"):
        (host / name).write_text("")
    (host / "srv/open").chmod(0o777)
    (host / "srv/link").symlink_to("/etc")
    return await bind_key(PretendNode.of(lab), **LIMITS)


@pytest.fixture
async def guests(lab: Lab) -> None:
    """Container 100, which runs, 101, and 200 out of the key's limits."""
    async with api_client(lab) as client:
        await started(client, lab, 100)
        await new_container(client, lab, 101)
        await new_container(client, lab, 200)


@pytest.fixture
async def shell(lab: Lab, key: BoundKey) -> AsyncIterator[NodeShell]:
    """Our own client with the key."""
    access = NodeAccess(
        name="lab",
        address="127.0.0.1",
        port=lab.ssh_port,
        private_key=SecretStr(key.private_key),
        host_key=lab.ssh_host_key,
    )
    shell = NodeShell(access)
    yield shell
    await shell.aclose()


def like_ours(line: str, *, marks: tuple[str, str] = (MARK, MARK)) -> str:
    """Return a request that begins as Slipway's do."""
    return f"printf '\\n%s\\n' {marks[0]}; printf '\\n%s\\n' {marks[1]} >&2; exec {line}"


def pct(*words: str) -> str:
    """Return a request for `pct` in the form of Slipway's."""
    return like_ours(shlex.join(("pct", *words)))


FORM, QUOTES, NONE = "not in the form", "not quoted as Slipway quotes", "runs no such command"
OUT, PATH = "is not one of 100-101 300", "is not below a"
REFUSED: dict[str, tuple[str | None, str]] = {
    "a login shell": (None, "no login shell"),
    "a command": ("id", FORM),
    "a shell": ("bash -i", FORM),
    "scp": ("scp -t /root", FORM),
    "sftp, as sshd calls it": ("/usr/lib/openssh/sftp-server", FORM),
    "the password file": ("cat /etc/shadow", FORM),
    "pct without the form": ("pct exec 100 -- id", FORM),
    "two marks": (like_ours("pct unlock 100", marks=(MARK, MARK[::-1])), FORM),
    "a command before": ("id; " + pct("unlock", "100"), FORM),
    "a command after": (pct("unlock", "100") + "; id", QUOTES),
    "a command on the next line": (pct("unlock", "100") + "\nid", QUOTES),
    "and then": (pct("exec", "100", "--", "true") + " && id", QUOTES),
    "a pipe": (pct("exec", "100", "--", "true") + " | sh", QUOTES),
    "a redirection": (pct("exec", "100", "--", "true") + " > /etc/cron.d/x", QUOTES),
    "a substitution": (like_ours("pct unlock $(id)"), QUOTES),
    "backticks": (like_ours("pct unlock `id`"), QUOTES),
    "a variable": (like_ours("pct unlock $IFS"), QUOTES),
    "double quotes": (like_ours('pct exec 100 -- "$(id)"'), QUOTES),
    "an open quote": (like_ours("pct exec 100 -- 'true"), QUOTES),
    "a shell in the form": (like_ours("sh -c id"), NONE),
    "the check with more": (like_ours(shlex.join(("sh", "-c", "command -v pct && hostname; id"))), NONE),
    "the path of pct": (like_ours("/usr/sbin/pct exec 100 -- id"), NONE),
    "a virtual machine": (like_ours("qm start 100"), NONE),
    "the API of root": (like_ours("pvesh create /access/users --userid x@pve"), NONE),
    "a user": (like_ours("pveum user add x@pve"), NONE),
    "the guest without pct": (like_ours("lxc-attach -n 100"), NONE),
    "a backup by hand": (like_ours("vzdump 100 --script /tmp/x"), NONE),
    "a console": (pct("enter", "100"), NONE),
    "a file into a guest": (pct("push", "100", "/etc/shadow", "/x"), NONE),
    "a file out of a guest": (pct("pull", "100", "/x", "/root/.ssh/authorized_keys"), NONE),
    "a mount on the node": (pct("mount", "100"), NONE),
    "a creation as root": (pct("create", "300", "local:vztmpl/x"), NONE),
    "another container": (pct("exec", "200", "--", "id"), OUT),
    "another's settings": (pct("set", "200", "--features", "nesting=1"), OUT),
    "another's lock": (pct("unlock", "200"), OUT),
    "another's end": (pct("destroy", "200", "--purge", "1"), OUT),
    "a number with more": (pct("exec", "100x", "--", "id"), "there is no VMID"),
    "an option for a number": (pct("exec", "--keep-env", "1", "100", "id"), "there is no VMID"),
    "an option of pct exec": (pct("exec", "100", "--keep-env", "1", "--", "id"), "no options"),
    "the end of what runs": (pct("destroy", "100", "--force", "1"), "--purge 1 only"),
    "the node's own folder": (pct("set", "100", "--mp0", "/etc,mp=/x"), PATH),
    "the whole node": (pct("set", "100", "--mp0", "/,mp=/x"), PATH),
    "a way back": (pct("set", "100", "--mp0", "/srv/../etc,mp=/x"), PATH),
    "a link": (pct("set", "100", "--mp0", "/srv/link,mp=/x"), "is a link"),
    "a folder through a link": (pct("set", "100", "--mp0", "/srv/link/pve,mp=/x"), "is a link"),
    "what may become a link": (pct("set", "100", "--mp0", "/srv/open/inner,mp=/x"), "could become a link"),
    "another's disk": (pct("set", "100", "--mp0", "local-lvm:vm-200-disk-0,mp=/x"), "only a folder"),
    "more than one line": (pct("set", "100", "--mp0", "/srv/media,mp=/x\nmp1: /etc,mp=/y"), "takes one line"),
    "options of a mount": (pct("set", "100", "--mp0", "/srv/media,mp=/x,mountoptions=suid"), "only a folder"),
    "a disk of the node": (pct("set", "100", "--dev0", "/dev/sda"), PATH),
    "a folder as a device": (pct("set", "100", "--dev0", "/srv/media"), "not a device"),
    "a script of the node": (pct("set", "100", "--hookscript", "local:snippets/x"), "hook script"),
    "a feature": (pct("set", "100", "--features", "nesting=1,mount=nfs"), "feature mount is not allowed"),
    "another root disk": (pct("set", "100", "--rootfs", "/dev/sda"), "--rootfs is not allowed"),
    "raw settings": (pct("set", "100", "--lxc.mount.entry", "/ x none bind"), "is not allowed"),
    "a lock taken away": (pct("set", "100", "--delete", "lock"), "other settings"),
    "where a path leads": (like_ours("realpath -e -- /etc/shadow"), PATH),
    "where a link leads": (like_ours("realpath -e -- /srv/link"), "leads out"),
    "two paths": (like_ours("realpath -e /srv /etc"), "takes one path"),
}
"""What a thief with the key would try: the request, and the reason of the refusal."""


async def test_refuses_one_by_one_what_a_stolen_key_would_try(lab: Lab, key: BoundKey) -> None:
    """Each of them ends with a line that says why, runs nothing, and is logged."""
    results = {}
    async with login(lab, key) as thief:
        for name, (line, why) in REFUSED.items():
            done = await thief.run(line)
            results[name] = (done.exit_status, str(done.stdout), why in str(done.stderr))
        with pytest.raises(asyncssh.Error):
            await thief.open_connection("127.0.0.1", lab.ssh_port)

    assert len(REFUSED) >= 30
    assert {name: each for name, each in results.items() if each != (126, "", True)} == {}
    assert key.log.count("refused: ") == len(REFUSED)
    assert "asked for: pct exec 200 -- id" in key.log
    assert (key.host / "root/.ssh/authorized_keys").read_text().startswith("restrict,command=")


@pytest.mark.usefixtures("guests")
async def test_work_in_a_guest_goes_through(shell: NodeShell) -> None:
    """Commands with input, sessions, files and detached scripts, quoted whatever they hold."""
    session = open_session(shell, 100)
    inside = Pct(shell, session)
    odd = "it's \"$(id)\"; `x` \\ \n é 'q' &&"

    direct = await Pct(shell).script(100, 'cat; printf %s "$1"', (odd,), stdin=b"in\n", timeout=SECONDS)
    shared = await inside.script(100, 'printf %s "$1"', (odd,), timeout=SECONDS)
    placed = await deploy(inside, 100, [GuestFile(path="/etc/odd", content=odd.encode())])
    work = Detached(inside, 100)
    await work.begin("job-1", script="echo done; exit 3", timeout=SECONDS)
    ends = [each async for each in work.follow("job-1", deadline=SECONDS) if isinstance(each, Exited)]
    await session.aclose()

    assert (direct.stdout, shared.stdout) == (f"in\n{odd}", f"{odd}\n")
    assert [each.outcome for each in placed] == ["created"]
    assert ends == [Exited(3)]


@pytest.mark.usefixtures("guests")
async def test_work_on_the_node_goes_through(shell: NodeShell, key: BoundKey) -> None:
    """Settings within the limits, paths, locks and ends; the login says what it is bound to."""
    pct = Pct(shell)

    where = await check_login(shell, timeout=SECONDS)
    path = await pct.real_path("/srv/media")
    missing = await pct.real_path("/srv/nothing")
    await pct.set_options(101, {"mp0": "/srv/media,mp=/media,ro=1", "dev0": "/dev/zero,mode=0660"})
    await pct.set_options(
        101, {"features": "nesting=1,fuse=1,mknod=1", "dev1": "/dev/net/tun", "delete": "mp0"}
    )
    await pct.unlock(101)
    await pct.destroy(101)
    await pct.destroy(300)

    assert where.hostname == "lab"
    assert where.limits == "device /dev/zero /dev/net; feature mknod; mount /srv; vmids 100-101 300"
    assert (path, missing) == ("/srv/media", None)
    assert key.log == ""
    with pytest.raises(CommandForbidden, match=r"container 200 is not one of 100-101 300.*wider limits"):
        await Pct(shell).script(200, "true", timeout=SECONDS)


@pytest.mark.usefixtures("guests")
async def test_a_pool_binds_as_well(lab: Lab, key: BoundKey) -> None:
    """Those in the pool and in pools nested in it, as they are now; with VMIDs, both have to fit."""
    async with api_client(lab, as_root=True) as root:
        for pool, vmids in (("slipway", "100"), ("slipway/inner", "101"), ("slipways", "200")):
            assert (await root.post("/pools", data={"poolid": pool})).is_success
            assert (await root.put("/pools", data={"poolid": pool, "vms": vmids})).is_success
    bound = await bind_key(PretendNode.of(lab), POOL="slipway")
    async with login(lab, bound) as thief:
        codes = [(await thief.run(pct("unlock", vmid))).exit_status for vmid in ("100", "101", "200", "300")]
    both = await bind_key(PretendNode.of(lab), POOL="slipway", VMIDS="101-200")
    async with login(lab, both) as thief:
        codes += [(await thief.run(pct("unlock", vmid))).exit_status for vmid in ("100", "101", "200")]

    assert codes == [0, 0, 126, 126, 126, 0, 126]
    with pytest.raises(asyncssh.PermissionDenied):
        async with login(lab, key):
            pass


@pytest.mark.usefixtures("guests")
async def test_a_privileged_container_is_the_nodes_own_root(lab: Lab, key: BoundKey) -> None:
    """Within the limits too, it is neither entered nor changed, unless the limits say so."""
    asked = (pct("exec", "300", "--", "true"), pct("set", "300", "--features", "fuse=1"))
    async with root_client(lab) as root:
        await started(root, lab, 300, unprivileged=0)
    async with login(lab, key) as thief:
        refused = [await thief.run(each) for each in asked]
        others = [(await thief.run(pct("unlock", "300"))).exit_status]
    async with login(lab, await bind_key(PretendNode.of(lab), VMIDS="300", FEATURES="privileged")) as owner:
        allowed = [(await owner.run(each)).exit_status for each in asked]

    assert [each.exit_status for each in refused] == [126, 126]
    assert all("container 300 is privileged" in str(each.stderr) for each in refused)
    assert (others, allowed) == ([0], [0, 0])


ODD: dict[str, dict[str, str]] = {
    "VMIDS: '1-5' can't be one": {"VMIDS": "1-5"},
    "VMIDS: '100;id' can't be one": {"VMIDS": "100;id"},
    "MOUNTS: '/' can't be one": {"VMIDS": "100", "MOUNTS": "/"},
    "MOUNTS: '/srv/../etc' is not a plain path": {"VMIDS": "100", "MOUNTS": "/srv/../etc"},
    "DEVICES: '/srv' can't be one": {"VMIDS": "100", "DEVICES": "/srv"},
    "VMIDS and POOL are one line each": {"POOL": "a\nvmids 1"},
    "only together with VMIDS or POOL": {"MOUNTS": "/srv"},
    "at tier operate there is no SSH key to bind": {"TIER": "operate", "VMIDS": "100"},
    "TIER is observe, operate or full, not 'root'": {"TIER": "root"},
}
"""What the script says of limits that can't be."""


async def test_odd_limits_are_refused(lab: Lab) -> None:
    """A limit that is not exactly what it seems binds nothing: the script stops before it makes anything."""
    results = {says: await run_script(PretendNode.of(lab), **limits) for says, limits in ODD.items()}

    wrong = [says for says, done in results.items() if says not in done.errors.decode() or done.out]
    assert wrong == []
    assert {done.code for done in results.values()} == {1}


async def test_a_lower_tier_and_a_removal_leave_no_key(lab: Lab, key: BoundKey) -> None:
    """The key's line and the forced command go; what else may come in as root stays."""
    keys, forced = key.host / "root/.ssh/authorized_keys", key.host / "etc/pve/priv/slipway-test"
    keys.write_text(f"ssh-ed25519 AAAA other\n{keys.read_text()}")
    was_bound = forced.exists()
    lowered = await run_script(PretendNode.of(lab), TIER="observe")
    at_observe = (keys.read_text().strip(), forced.exists())
    await bind_key(PretendNode.of(lab), **LIMITS)
    removed = await run_script(PretendNode.of(lab), "remove")

    assert (was_bound, lowered.code, removed.code) == (True, 0, 0)
    assert at_observe == (keys.read_text().strip(), forced.exists()) == ("ssh-ed25519 AAAA other", False)
    assert b'"ssh"' not in lowered.out
