"""The first process of a simulated guest: builds its view, starts its units, reaps, dies with the lab.

`systemctl` in the guest (a shim) writes one line per request to the FIFO `/run/lab/control` and watches
`/run/lab/units`. The lab holds the other end of a socket: it sends connections made to the guest's address
on the host (with the port as text), `poweroff`, and by closing it tells that the guest's life is over.
"""

import contextlib
import encodings.idna  # noqa: F401 - sockets load it late, when the host's files are out of sight
import os
import selectors
import signal
import socket
import sys
import threading
from pathlib import Path

from slipway.lab.guests.simulated import stand_ins, units, view

CONTROL = Path("/run/lab/control")
ENABLED = Path("/etc/systemd/system/multi-user.target.wants")


def main() -> None:
    """Arguments: guest folder, host name, address with prefix, hardware address, the lab's socket."""
    guest, hostname, address, hwaddr, number = sys.argv[1:]
    lab = socket.socket(fileno=int(number))
    own_pid = str(Path("/proc/self").readlink())  # the host's number: /proc is still the host's here
    view.bring_up(address, hwaddr)
    view.enter(Path(guest), hostname=hostname)
    Init(lab, address.partition("/")[0]).run(own_pid)


class Init:
    """One loop over the lab's socket, the control FIFO and dead children."""

    def __init__(self, lab: socket.socket, address: str) -> None:
        self._lab = lab
        self._address = address
        self._units = units.Units(stand_ins.STAND_INS)
        self._selector = selectors.DefaultSelector()

    def run(self, own_pid: str) -> None:
        """Boot, then serve until power-off or until the lab is gone."""
        CONTROL.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(CONTROL)
        control = os.open(CONTROL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken)
        for source in (self._lab.fileno(), control, wake):
            self._selector.register(source, selectors.EVENT_READ)
        for unit in sorted(ENABLED.glob("*.service")):
            self._units.start(unit.stem)
        Path("/run/lab/state").write_text("running\n")
        self._lab.sendall(f"ready {own_pid}\n".encode())
        while self._step(control, wake):
            pass
        self._units.stop_all()

    def _step(self, control: int, wake: int) -> bool:
        """Wait for something to do and do it; False ends the guest."""
        going_on = True
        for key, _ in self._selector.select():
            if key.fd == wake:
                os.read(wake, 512)
                self._units.reap()
            elif key.fd == control:
                going_on = self._hear_guest(os.read(control, 65536).decode().splitlines())
            else:
                going_on = self._hear_lab()
        return going_on

    def _hear_guest(self, requests: list[str]) -> bool:
        for request in requests:
            if request.startswith("poweroff"):
                return False
            self._units.handle(request)
        return True

    def _hear_lab(self) -> bool:
        text, descriptors, _, _ = socket.recv_fds(self._lab, 64, 1)
        if not text or text.startswith(b"poweroff"):
            return False
        for descriptor in descriptors:
            port = int(text.split()[0])
            threading.Thread(target=_relay, args=(descriptor, (self._address, port)), daemon=True).start()
        return True


def _relay(descriptor: int, target: tuple[str, int]) -> None:
    """Carry one connection from the host to a port of the guest."""
    with (
        contextlib.suppress(OSError),
        socket.socket(fileno=descriptor) as outside,
        socket.create_connection(target, timeout=10) as inside,
    ):
        inside.settimeout(None)
        back = threading.Thread(target=_pump, args=(inside, outside), daemon=True)
        back.start()
        _pump(outside, inside)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
