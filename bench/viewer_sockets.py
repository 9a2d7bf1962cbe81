"""Many viewers of event streams in one process, as cheap as can be: plain sockets and one epoll.

A program of its own: `viewer_sockets.py URL STREAMS EVENTS`, a request's head on its input. It prints `[]`
once all streams are open, and once each has so many events the seconds that each took, as JSON. An event has
`t=`, the time at which it was published by the monotonic clock in nanoseconds, and `;`.
"""

import json
import re
import select
import socket
import sys
import time
from urllib.parse import urlsplit

_STAMP = re.compile(rb"t=(\d+);")
_SECONDS = 100.0


def main(url: str, count: int, events: int) -> None:
    """Open streams, wait for their events, print how long each took."""
    address, head = urlsplit(url), sys.stdin.buffer.read()
    opened = [_open(address.hostname or "", address.port or 80, head) for _ in range(count)]
    streams = {stream.fileno(): stream for stream in opened}
    print("[]", flush=True)
    print(json.dumps(_latencies(streams, count * events)), flush=True)


def _latencies(streams: dict[int, socket.socket], awaited: int) -> list[float]:
    epoll, latencies, rest = select.epoll(), list[float](), dict.fromkeys(streams, b"")
    for number in streams:
        epoll.register(number, select.EPOLLIN)
    deadline = time.monotonic() + _SECONDS
    while len(latencies) < awaited:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(latencies)} of {awaited} events came within {_SECONDS:.0f} s")
        for number, _ in epoll.poll(1.0):
            got, at = streams[number].recv(65536), time.monotonic_ns()
            if not got:
                raise ConnectionError("a stream ended before its last event")
            whole, end, rest[number] = (rest[number] + got).rpartition(b"\n\n")
            if end:
                latencies += [(at - int(stamp)) / 1e9 for stamp in _STAMP.findall(whole)]
    return latencies


def _open(host: str, port: int, head: bytes) -> socket.socket:
    stream = socket.create_connection((host, port), timeout=10)
    stream.sendall(head + b"\r\n")
    begin = b""
    while b"\r\n\r\n" not in begin:
        begin += stream.recv(4096)
    stream.settimeout(0)
    return stream


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
