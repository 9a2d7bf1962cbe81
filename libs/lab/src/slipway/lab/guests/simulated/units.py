"""Units of a simulated guest: what `systemctl start` starts there.

A unit is a stand-in (a small real server for a known package) or the `ExecStart` of a unit file. Every state
is a file, `/run/lab/units/NAME`, with one line: `active PID`, `exited CODE`, `failed CODE` or `inactive`.
"""

import functools
import os
import re
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

STATES = Path("/run/lab/units")
JOURNAL = Path("/var/log/lab-journal")
FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"), Path("/usr/local/lib/systemd/system"))
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
STOP_SECONDS = 5.0


class Units:
    """All units of this guest by name, without `.service`."""

    def __init__(self, stand_ins: Mapping[str, Callable[[], None]]) -> None:
        self._stand_ins = stand_ins
        self._pids: dict[str, int] = {}
        STATES.mkdir(parents=True, exist_ok=True)
        JOURNAL.mkdir(parents=True, exist_ok=True)

    def handle(self, line: str) -> None:
        """Carry out one request: `start NAME`, `stop NAME` or `restart NAME`."""
        verb, _, name = line.partition(" ")
        if verb in {"stop", "restart"}:
            self.stop(name)
        if verb in {"start", "restart"}:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a unit that does not run."""
        if name in self._pids:
            return
        stand_in = self._stand_ins.get(name.partition("@")[0])
        unit = _find(name)
        if stand_in is not None and not (unit and _setting(unit, "ExecStart")):
            self._pids[name] = _fork(name, stand_in)
        elif unit is not None and (command := _setting(unit, "ExecStart")):
            self._pids[name] = _fork(name, functools.partial(_become, unit, command))
        else:
            _tell(name, "inactive" if unit is None else "exited 0")
            return
        _tell(name, f"active {self._pids[name]}")

    def stop(self, name: str) -> None:
        """End a unit's processes: politely, then not."""
        pid = self._pids.pop(name, None)
        if pid is not None:
            _kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    _kill(pid, signal.SIGKILL)
                time.sleep(0.02)
        _tell(name, "inactive")

    def stop_all(self) -> None:
        """End every unit, for power-off."""
        for name in list(self._pids):
            self.stop(name)

    def reap(self) -> None:
        """Collect dead children: of units, and orphans of everybody else's."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name in [name for name, known in self._pids.items() if known == pid]:
                del self._pids[name]
                code = os.waitstatus_to_exitcode(status)
                _tell(name, f"failed {code}" if code else "exited 0")


def _find(name: str) -> str | None:
    """Text of a unit's file; an instance `a@b` has the file of its template `a@`."""
    for folder in FOLDERS:
        for candidate in (name, name.partition("@")[0] + "@" if "@" in name else name):
            path = folder / f"{candidate}.service"
            if path.is_file():
                return path.read_text(errors="replace")
    return None


def _setting(unit: str, key: str) -> str | None:
    match = re.search(rf"^{key}=[-+!:@]*(.+)$", unit, re.MULTILINE)
    return match[1].strip() if match else None


def _fork(name: str, body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        log = os.open(JOURNAL / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, 256)
        Path("/proc/self/comm").write_text(getattr(body, "__name__", name)[:15])
        body()
        code = 0
    except BaseException:  # noqa: BLE001 - the last stop before the process ends: its log gets everything
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _become(unit: str, command: str) -> None:
    """Turn into the unit's command; users do not exist here, so `User=` is not followed."""
    os.chdir((_setting(unit, "WorkingDirectory") or "/").lstrip("-"))
    environment = dict(ENVIRONMENT)
    for line in re.findall(r"^Environment=(.+)$", unit, re.MULTILINE):
        environment.update(dict(word.split("=", 1) for word in shlex.split(line) if "=" in word))
    file = (_setting(unit, "EnvironmentFile") or "").lstrip("-")
    if file and Path(file).is_file():
        lines = shlex.split(Path(file).read_text(), comments=True)
        environment.update(dict(word.split("=", 1) for word in lines if "=" in word))
    argv = shlex.split(command)
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - running a unit's command is what a unit is for


def _kill(pid: int, number: signal.Signals) -> None:
    for send in (os.killpg, os.kill):
        try:
            send(pid, number)
        except ProcessLookupError:
            continue


def _tell(name: str, state: str) -> None:
    draft = STATES / f".{name}"
    draft.write_text(state + "\n")
    draft.replace(STATES / name)
