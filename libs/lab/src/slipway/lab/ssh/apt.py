"""What is ordered of a guest's apt: locks that another process in it really holds, and names not found.

A guest learns of it before its next command. Names that are not found are written where the simulated apt-get
looks for them; a real one does not look there.
"""

from slipway.lab.faults import AptLocked, DnsFails
from slipway.lab.host.machine import Machine

FOLDER = "/var/lib/lab/apt"
LOCKS = {
    "lists": "/var/lib/apt/lists/lock",
    "archives": "/var/cache/apt/archives/lock",
    "dpkg": "/var/lib/dpkg/lock-frontend",
}
_WRITE = f'mkdir -p {FOLDER} && echo "$2" > {FOLDER}/"$1"'
HOLD = """
mkdir -p "${1%/*}"
exec perl -e '
    use Fcntl; use POSIX;
    pipe(my $locked, my $lock_it);
    if (fork()) { close($lock_it); read($locked, my $byte, 1); exit }
    POSIX::setsid(); open(my $file, "+>>", $ARGV[0]) or die;
    my $whole = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
    fcntl($file, F_SETLK, $whole) or die;
    POSIX::close($_) for 0 .. 2;
    close($lock_it);
    sleep($ARGV[1]);
' "$1" "$2"
"""
"""A lock of fcntl's, as apt and dpkg take it; Debian has perl in each guest (perl-base is essential)."""


async def prepare(machine: Machine, vmid: int) -> None:
    """Order in a guest the faults of its apt that it does not have yet."""
    birth = machine.birth(vmid)
    for dns, _ in machine.faults.delivered(DnsFails, vmid, birth):
        await _run(machine, vmid, _WRITE, "dns-fails", str(dns.attempts))
    for lock, age in machine.faults.delivered(AptLocked, vmid, birth):
        await _run(machine, vmid, HOLD, LOCKS[lock.lock], str(int(lock.seconds - age)))


async def _run(machine: Machine, vmid: int, script: str, *arguments: str) -> None:
    process = await machine.guests.execute(vmid, ["sh", "-c", script, "sh", *arguments])
    async for _ in process.stdout():
        pass
    await process.wait()
