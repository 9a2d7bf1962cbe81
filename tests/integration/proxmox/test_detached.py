"""Detached work, with the real scripts in real processes: each line once, nothing twice, whatever dies."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from slipway.proxmox.detached import Absent, Detached, Exited, Running, Started
from slipway.proxmox.errors import CommandLost, PctFailed, RunLost
from slipway.proxmox.output import Output
from support.ssh_server import SshServer
from support.waiting import lives, until

LIMIT = timedelta(seconds=30)
PROGRAMS = pytest.mark.parametrize(
    "vmid",
    [
        pytest.param(100, id="debian"),
        pytest.param(
            300,
            id="busybox",
            marks=pytest.mark.skipif(shutil.which("busybox") is None, reason="no busybox here"),
        ),
    ],
)
"""What the guest has: the programs of Debian, or of busybox only."""


async def job_events(detached: Detached, key: str, offset: int = 0) -> tuple[list[Output], Exited]:
    """All lines that are left to follow."""
    lines: list[Output] = []
    async with aclosing(detached.follow(key, offset, deadline=LIMIT)) as items:
        async for item in items:
            if isinstance(item, Exited):
                return lines, item
            if not item.is_unfinished:
                lines.append(item)
    raise AssertionError("it ended without an exit code")


async def job_events_over_cuts(
    detached: Detached, key: str, on_line: Callable[[int], None] = lambda _count: None
) -> tuple[list[Output], Exited]:
    """All that is left to follow, each time from where it was when a connection died."""
    lines: list[Output] = []
    while True:
        offset = lines[-1].end_offset if lines else 0
        try:
            async with aclosing(detached.follow(key, offset, deadline=LIMIT)) as items:
                async for item in items:
                    if isinstance(item, Exited):
                        return lines, item
                    if item.is_unfinished:
                        continue
                    lines.append(item)
                    on_line(len(lines))
        except CommandLost:
            continue


def texts(lines: list[Output]) -> list[str]:
    """The lines as text."""
    return [line.text for line in lines]


def kill_wrapper(folder: Path) -> int:
    """Kill the wrapper with its readers, as a lack of memory might; returns the work, which goes on."""
    work = int((folder / "pid").read_text().split()[0])
    wrapper = int(Path(f"/proc/{work}/stat").read_text().rpartition(")")[2].split()[1])
    os.killpg(wrapper, signal.SIGKILL)
    return work


@PROGRAMS
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo out; echo err >&2; echo out 2", ["out", "err", "out 2"]),
        ("echo err >&2; echo out", ["err", "out"]),
        ("printf 'Size? ' >&2; echo 5", ["Size? 5"]),
        ("(exit 3); echo failed >&2; sh -c 'echo a; echo b >&2; exec echo c'", ["failed", "a", "b", "c"]),
    ],
)
async def test_lines_come_in_the_order_of_writing(
    detached: Detached, script: str, expected: list[str]
) -> None:
    """Whichever of its two outputs the work writes to."""
    await detached.begin("a", script=script, timeout=LIMIT)

    lines, _ = await job_events(detached, "a")

    assert texts(lines) == expected


@PROGRAMS
@pytest.mark.parametrize(
    ("first_line", "missing"),
    [
        ("#!/no/such/bash", "/no/such/bash"),
        ("#! /no/such/python3 -u", "/no/such/python3"),
        ("#!/usr/bin/env no-such-bash", "no-such-bash"),
        ("#!/usr/bin/env -S no-such-node --trace", "no-such-node"),
    ],
)
async def test_missing_interpreter_is_named(detached: Detached, first_line: str, missing: str) -> None:
    """The kernel would call the script itself missing."""
    await detached.begin("a", script=f"{first_line}\necho never", timeout=LIMIT)

    lines, ended = await job_events(detached, "a")

    assert ended == Exited(127)
    assert [line.partition(", ")[0] for line in texts(lines)] == [f"[slipway: the guest has no {missing}"]


@pytest.mark.parametrize(
    "first_line", ["#!", "#!/bin/sh -e", "#! /usr/bin/env sh", "#!/usr/bin/env -S A=1 sh -e"]
)
async def test_interpreter_that_is_there_runs_the_script(detached: Detached, first_line: str) -> None:
    """Also one that `env` finds, with options, and the shell if none is named."""
    await detached.begin("a", script=f"{first_line}\necho runs", timeout=LIMIT)

    lines, ended = await job_events(detached, "a")

    assert (texts(lines), ended) == (["runs"], Exited(0))


async def test_last_line_needs_no_newline(detached: Detached) -> None:
    """It is a line once the work has ended; its exit code is passed on."""
    assert await detached.begin("a", script="echo 1; printf last; exit 5", timeout=LIMIT) == Started()
    lines, ended = await job_events(detached, "a")

    assert (texts(lines), ended) == (["1", "last"], Exited(5))
    assert await job_events(detached, "a", lines[-1].end_offset) == ([], Exited(5))


@PROGRAMS
async def test_four_thousand_lines_come_once_and_in_order(detached: Detached) -> None:
    """Written as fast as a shell can, to both outputs in turn."""
    script = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i; echo -$i >&2; done"
    await detached.begin("a", script=script, timeout=LIMIT)

    lines, _ = await job_events(detached, "a")

    assert texts(lines) == [f"{sign}{n}" for n in range(1, 2001) for sign in ("", "-")]


@PROGRAMS
async def test_lines_of_a_megabyte_stay_whole(detached: Detached) -> None:
    """A line may be as long as it likes."""
    script = """
        long() { head -c 1000000 /dev/zero | tr '\\0' "$1"; echo; }
        long a; long b >&2; seq 500; long c
    """
    await detached.begin("a", script=script, timeout=LIMIT)

    lines, _ = await job_events(detached, "a")

    expected = ["a" * 1_000_000, "b" * 1_000_000, *map(str, range(1, 501)), "c" * 1_000_000]
    assert texts(lines) == expected


@PROGRAMS
@pytest.mark.parametrize(
    ("printed", "state", "line"),
    [
        ("Continue? [y/N] ", "Continue? [y/N] ", "Continue? [y/N] end"),
        ("\\r 10 %%\\r 20 %%", " 20 %", " 20 %end"),
        ("10 %%\\r20 %%\\r", "20 %", "end"),
        ("0/16\\b\\b\\b\\b1/16", "1/16", "1/16end"),
        ("one\\033[2K\\033[1Gtwo", "two", "twoend"),
    ],
)
async def test_line_without_an_end_is_shown_as_it_is_so_far(
    detached: Detached, tmp_path: Path, printed: str, state: str, line: str
) -> None:
    """A prompt or progress; it moves no offset, and is a line once it ends."""
    gate = tmp_path / "gate"
    script = f"echo first; printf '{printed}'; while [ ! -e {gate} ]; do sleep 0.05; done; echo end"
    await detached.begin("a", script=script, timeout=LIMIT)

    async with aclosing(detached.follow("a", deadline=LIMIT)) as items:
        first = await anext(items)
        shown = await anext(items)
        while isinstance(shown, Output) and shown.is_unfinished and shown.text != state:
            shown = await anext(items)
        gate.touch()
        rest = [item async for item in items if isinstance(item, Exited) or not item.is_unfinished]

    assert isinstance(first, Output)
    assert shown == Output(text=state, end_offset=first.end_offset, is_unfinished=True)
    assert isinstance(rest[0], Output)
    assert [rest[0].text, *rest[1:]] == [line, Exited(0)]
    again, _ = await job_events(detached, "a", first.end_offset)
    assert again == [rest[0]]


@pytest.mark.parametrize(
    ("progress", "state"),
    [
        ("%6d of all\\033[2K\\033[1G", " 29999 of all"),
        ("%6d of all\\b\\b\\b\\b\\b\\b\\b\\b\\b\\b\\b\\b\\b", " 29999 of all"),
        ("%6d of all\\033[1000D", " 29999 of all"),
        ("%6d of all, ", " 29998 of all,  29999 of all, "),
    ],
)
async def test_long_progress_shows_its_newest_state(
    detached: Detached, tmp_path: Path, progress: str, state: str
) -> None:
    """However much was written before it, and whatever goes back over that."""
    gate = tmp_path / "gate"
    script = f"""awk 'BEGIN {{ for (i = 0; i < 30000; i++) printf "{progress}", i }}'
        while [ ! -e {gate} ]; do sleep 0.05; done"""
    await detached.begin("a", script=script, timeout=LIMIT)

    async with asyncio.timeout(20), aclosing(detached.follow("a", deadline=LIMIT)) as items:
        async for item in items:
            if isinstance(item, Output) and item.text.replace("\033[2K", "").endswith(state):
                break
    gate.touch()

    assert isinstance(item, Output)
    assert item.is_unfinished


@PROGRAMS
async def test_progress_is_one_line_wherever_it_is_read(detached: Detached) -> None:
    """Ends of lines as Windows writes them are ends of lines."""
    script = r"""
        for i in 1 2 3; do printf '\r%s %%' $i; sleep 0.3; done
        printf '\ndos\r'; sleep 0.5; printf '\ndos\r\n'"""
    await detached.begin("a", script=script, timeout=LIMIT)

    while_it_runs, _ = await job_events(detached, "a")
    afterwards, _ = await job_events(detached, "a")

    assert texts(while_it_runs) == ["3 %", "dos", "dos"]
    assert afterwards == while_it_runs


@PROGRAMS
async def test_noise_does_no_harm(detached: Detached) -> None:
    """Every byte reaches the file; what is no text is replaced."""
    script = r"""
        i=1
        while [ $i -lt 256 ]; do
            case $i in 8 | 10 | 13) ;; *) printf "\\$(printf %o $i)" ;; esac
            i=$((i + 1))
        done
        echo
        printf 'a\000b\n'
        printf '%s\n' '  ─ ✓ \n -n  ' '-- -e'
        head -c 20000 /dev/urandom
        echo
        echo end
    """
    await detached.begin("a", script=script, timeout=LIMIT)

    lines, ended = await job_events(detached, "a")

    assert lines[0].text == bytes(n for n in range(1, 256) if n not in {8, 10, 13}).decode(errors="replace")
    assert texts(lines)[1:4] == ["a\ufffdb", "  ─ ✓ \\n -n  ", "-- -e"]
    assert (texts(lines)[-1], ended) == ("end", Exited(0))


@PROGRAMS
async def test_following_goes_on_from_any_line(detached: Detached) -> None:
    """The offset of a line is where the next begins."""
    await detached.begin("a", script="echo one; echo zwölf >&2; seq 3 40000; echo end", timeout=LIMIT)
    whole, _ = await job_events(detached, "a")

    for cut in (0, 1, 17, 30000, len(whole) - 1):
        rest, ended = await job_events(detached, "a", whole[cut].end_offset)
        assert (rest, ended) == (whole[cut + 1 :], Exited(0))


async def test_lines_come_while_the_work_runs(detached: Detached, tmp_path: Path) -> None:
    """The follower does not wait for the end."""
    gate = tmp_path / "gate"
    await detached.begin("a", script=f"echo first; while [ ! -e {gate} ]; do sleep 0.05; done", timeout=LIMIT)

    async with aclosing(detached.follow("a", deadline=LIMIT)) as items:
        first = await anext(items)
        state = await detached.look("a")
        gate.touch()
        rest = [item async for item in items]

    assert (isinstance(first, Output) and first.text, state, rest) == ("first", Running(), [Exited(0)])


async def test_work_survives_a_connection_that_dies_again_and_again(
    detached: Detached, server: SshServer
) -> None:
    """Each number once, though the follower loses its connection in the middle."""
    script = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i; [ $((i % 200)) -ne 0 ] || sleep 0.1; done"
    await detached.begin("a", script=script, timeout=LIMIT)
    cuts = 0

    def cut(count: int) -> None:
        nonlocal cuts
        if count in {150, 700, 1500}:
            cuts += 1
            server.cut()

    lines, ended = await job_events_over_cuts(detached, "a", cut)

    assert texts(lines) == [str(n) for n in range(1, 2001)]
    assert (ended, cuts) == (Exited(0), 3)


async def test_work_survives_the_process_that_began_it(
    detached: Detached, server: SshServer, tmp_path: Path
) -> None:
    """Every process of the SSH session is killed the hard way."""
    gate = tmp_path / "gate"
    script = f"echo one; while [ ! -e {gate} ]; do sleep 0.05; done; echo two"
    await detached.begin("a", script=script, timeout=LIMIT)

    for pid in server.pids:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    server.cut()
    await until(lambda: not any(lives(pid) for pid in server.pids))
    gate.touch()
    lines, ended = await job_events_over_cuts(detached, "a")

    assert (texts(lines), ended) == (["one", "two"], Exited(0))


async def test_work_begins_once(detached: Detached, tmp_path: Path) -> None:
    """However often and by however many it is begun, at the same time and after its end."""
    ran = tmp_path / "ran"
    script = f"echo x >>{ran}; sleep 0.3"

    states = await asyncio.gather(*(detached.begin("a", script=script, timeout=LIMIT) for _ in range(5)))
    await job_events(detached, "a")
    after = await detached.begin("a", script=script, timeout=LIMIT)

    assert sorted(type(state).__name__ for state in states) == ["Running"] * 4 + ["Started"]
    assert (after, ran.read_text()) == (Exited(0), "x\n")


async def test_a_look_does_not_disturb_a_beginning(detached: Detached) -> None:
    """Both ask for the lock."""
    looks = [asyncio.create_task(detached.look("a")) for _ in range(6)]

    assert await detached.begin("a", script="true", timeout=LIMIT) == Started()

    await asyncio.gather(*looks)
    await job_events(detached, "a")


async def test_a_look_shows_where_work_stands(detached: Detached) -> None:
    """Absent, running, exited."""
    states = [await detached.look("a")]
    await detached.begin("a", script="read x || exit 1", timeout=LIMIT)
    await job_events(detached, "a")
    states.append(await detached.look("a"))

    assert states == [Absent(), Exited(1)]


async def test_work_that_died_begins_again_and_appends(detached: Detached, tmp_path: Path) -> None:
    """As after a reboot: no exit code, and nobody holds the lock. Offsets go on where they were."""
    ran = tmp_path / "ran"
    script = f"echo x >>{ran}; echo run $(wc -l <{ran}); [ $(wc -l <{ran}) -gt 1 ] || sleep 60"
    await detached.begin("a", script=script, timeout=LIMIT)
    folder = tmp_path / "runs" / "a"
    async with aclosing(detached.follow("a", deadline=LIMIT)) as items:
        first = await anext(items)
        assert isinstance(first, Output)
        work = kill_wrapper(folder)
        with pytest.raises(RunLost):
            await anext(items)

    assert await detached.look("a") == Absent()
    assert await detached.begin("a", script=script, timeout=LIMIT) == Started()
    rest, ended = await job_events(detached, "a", first.end_offset)

    assert (first.text, texts(rest), ended, lives(work)) == ("run 1", ["run 2"], Exited(0), False)


async def test_a_torn_line_is_ended_before_work_begins_again(detached: Detached, tmp_path: Path) -> None:
    """A crash may leave half a line."""
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "out").write_bytes(b"one\nha")

    await detached.begin("a", script="echo two", timeout=LIMIT)
    lines, _ = await job_events(detached, "a")

    assert texts(lines) == ["one", "ha", "two"]


async def test_work_of_an_older_build_is_followed(detached: Detached, tmp_path: Path) -> None:
    """Its lines have marks, which are no part of them; offsets count them."""
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "out").write_bytes(b"oone\netwo\n" + b"o" + b"x" * 300_000 + b"\no\n")
    (folder / "lock").touch()
    (folder / "exit").write_text("3\n")

    whole, ended = await job_events(detached, "a")
    rest, _ = await job_events(detached, "a", whole[0].end_offset)

    assert (texts(whole), ended) == (["one", "two", "x" * 300_000, ""], Exited(3))
    assert rest == whole[1:]


async def test_a_cancelled_work_dies_with_all_it_started(detached: Detached, tmp_path: Path) -> None:
    """Asked first; what it says to that is stored."""
    script = f"trap 'echo bye; exit 9' TERM; sleep 60 & echo $! >{tmp_path}/child; echo hi; wait"
    await detached.begin("a", script=script, timeout=LIMIT)
    await until((tmp_path / "child").exists)

    state = await detached.cancel("a", grace=timedelta(seconds=5))
    lines, ended = await job_events(detached, "a")

    assert (state, ended) == (Exited(9), Exited(9))
    assert {"hi", "bye"} <= set(texts(lines))
    await until(lambda: not lives(int((tmp_path / "child").read_text())))


async def test_work_of_another_job_ends_before_new_work_begins(detached: Detached, tmp_path: Path) -> None:
    """A container has one job at a time: what still runs was given up."""
    old = f"trap '' TERM; echo $$ >{tmp_path}/old; while :; do sleep 0.1; done"
    await detached.begin("a", script=old, timeout=LIMIT)
    await until(lambda: (tmp_path / "old").exists() and (tmp_path / "old").read_text().strip() != "")

    began = await detached.begin("b", script="echo new", timeout=LIMIT)
    lines, ended = await job_events(detached, "b")

    assert (began, texts(lines), ended) == (Started(), ["new"], Exited(0))
    assert not lives(int((tmp_path / "old").read_text()))
    assert await detached.look("a") == Exited(137)


async def test_what_ignores_the_request_to_end_is_killed(detached: Detached) -> None:
    """After the grace."""
    await detached.begin("a", script="trap '' TERM; echo hi; while :; do sleep 0.1; done", timeout=LIMIT)
    async with aclosing(detached.follow("a", deadline=LIMIT)) as items:
        await anext(items)

    assert await detached.cancel("a", grace=timedelta(seconds=1)) == Exited(137)


@pytest.mark.parametrize("key", ["never", "ended"])
async def test_cancelling_what_does_not_run_changes_nothing(detached: Detached, key: str) -> None:
    """It says how it stands."""
    await detached.begin("ended", script="exit 4", timeout=LIMIT)
    await job_events(detached, "ended")

    assert await detached.cancel(key) == (Absent() if key == "never" else Exited(4))


async def test_a_timeout_holds_without_anyone_watching(detached: Detached) -> None:
    """The guest keeps it; what was printed before is there."""
    await detached.begin("a", script="echo hi; sleep 60; echo never", timeout=timedelta(seconds=1))

    lines, ended = await job_events(detached, "a")

    assert (texts(lines), ended) == (["hi"], Exited(124))


async def test_a_daemon_left_behind_does_not_hold_up_the_end(detached: Detached, tmp_path: Path) -> None:
    """Even if it holds the outputs open; it is not harmed either."""
    script = f"setsid sh -c 'echo $$ >{tmp_path}/daemon; sleep 60; echo late' & echo done"
    await detached.begin("a", script=script, timeout=LIMIT)

    lines, ended = await job_events(detached, "a")

    assert (texts(lines), ended) == (["done"], Exited(0))
    os.killpg(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


async def test_secrets_reach_the_work_and_nothing_else(
    detached: Detached, server: SshServer, tmp_path: Path
) -> None:
    """Not a command line, and no file once the work runs."""
    secret = "it's a\nge$heim"
    script = f'printf "%s" "$TOKEN" | sha256sum; [ -e {tmp_path}/runs/a/env ] || echo gone'

    await detached.begin("a", script=script, env={"TOKEN": SecretStr(secret)}, timeout=LIMIT)
    await job_events(detached, "a")

    assert "heim" not in "".join(server.commands)
    assert all("heim" not in file.read_text() for file in (tmp_path / "runs" / "a").iterdir())


def numbers(lines: list[Output]) -> tuple[list[int], str, list[int]]:
    """What came before the line that says what is missing, that line, and what came after it."""
    output = [line.text for line in lines if not line.text.startswith("[slipway: this is a lot")]
    gap = next(place for place, text in enumerate(output) if text.startswith("[slipway:"))
    return [int(text) for text in output[:gap]], output[gap], [int(text) for text in output[gap + 1 :]]


@PROGRAMS
async def test_of_too_much_the_beginning_and_the_end_are_stored(detached: Detached, tmp_path: Path) -> None:
    """The file in the guest is bounded, and says how much is missing; no line is torn or doubled."""
    await detached.begin("a", script="seq 20000", timeout=LIMIT, keep_bytes=64_000)

    lines, ended = await job_events(detached, "a")

    first, notice, last = numbers(lines)
    assert (first, last) == (list(range(1, len(first) + 1)), list(range(20001 - len(last), 20001)))
    assert re.fullmatch(
        r"\[slipway: \d+ bytes of the output are left out here; its last lines follow\]", notice
    )
    assert len(first) > 800
    assert len(last) > 100
    missing = len("".join(f"{n}\n" for n in range(len(first) + 1, 20001 - len(last))))
    assert (int(notice.split()[1]), ended) == (missing, Exited(0))
    assert (tmp_path / "runs" / "a" / "out").stat().st_size < 64_000


@PROGRAMS
async def test_too_much_is_followed_from_any_line(detached: Detached) -> None:
    """The file only grows, so that a new follower misses nothing of what is stored."""
    await detached.begin("a", script="seq 20000", timeout=LIMIT, keep_bytes=64_000)
    whole, _ = await job_events(detached, "a")

    for cut in (0, 500, len(whole) - 200, len(whole) - 1):
        rest, ended = await job_events(detached, "a", whole[cut].end_offset)
        assert (rest, ended) == (whole[cut + 1 :], Exited(0))


@PROGRAMS
async def test_work_that_goes_on_writing_says_so(detached: Detached) -> None:
    """Whoever watches sees that it goes on, and how much is left out so far."""
    await detached.begin("a", script=f"exec yes {'x' * 500}", timeout=LIMIT, keep_bytes=8000)

    async with aclosing(detached.follow("a", deadline=LIMIT)) as items:
        async for item in items:
            if isinstance(item, Output) and "left out so far" in item.text:
                break
    state = await detached.cancel("a", grace=timedelta(seconds=1))

    assert item == Output(
        text="[slipway: this is a lot of output: 1 MiB of it are left out so far]",
        end_offset=item.end_offset if isinstance(item, Output) else 0,
    )
    assert state == Exited(143)


@PROGRAMS
async def test_too_much_of_a_work_that_died_is_reported_before_the_next(
    detached: Detached, tmp_path: Path
) -> None:
    """Its last lines were not in the file yet; what was stored before counts against the bound."""
    ran = tmp_path / "ran"
    script = f"echo x >>{ran}; seq 20000; [ $(wc -l <{ran}) -gt 1 ] || {{ sync; echo; sleep 60; }}"
    await detached.begin("a", script=script, timeout=LIMIT, keep_bytes=64_000)
    folder = tmp_path / "runs" / "a"
    await until(lambda: (folder / "last").exists() and b"\n20000\n" in (folder / "last").read_bytes())
    kill_wrapper(folder)

    await detached.begin("a", script=script, timeout=LIMIT, keep_bytes=64_000)
    lines, _ = await job_events(detached, "a")

    assert texts(lines).count("20000") == 2
    assert (folder / "out").stat().st_size < 2 * 64_000


async def test_output_of_what_has_ended_does_not_gather(detached: Detached, tmp_path: Path) -> None:
    """A guest lives for years, and each of its jobs leaves some."""
    await detached.begin("a", script="echo old", timeout=LIMIT)
    await job_events(detached, "a")

    await detached.begin("b", script="echo new", timeout=LIMIT)
    await job_events(detached, "b")

    assert not (tmp_path / "runs" / "a" / "out").exists()
    assert await detached.begin("a", script="echo again", timeout=LIMIT) == Exited(0)


async def test_work_has_a_clean_environment(detached: Detached) -> None:
    """What it is given, what the guest has, nothing of the wrapper's."""
    await detached.begin("a", script="pwd; umask; env | sort", env={"A": "1"}, timeout=LIMIT)

    lines, _ = await job_events(detached, "a")

    names = {line.partition("=")[0] for line in texts(lines)[2:]}
    assert texts(lines)[:2] == ["/", "0022"]
    assert names <= {
        "A",
        "HOME",
        "LANG",
        "LOGNAME",
        "OLDPWD",
        "PATH",
        "PWD",
        "SHELL",
        "SHLVL",
        "TERM",
        "USER",
        "_",
    }


async def test_a_script_chooses_its_interpreter(detached: Detached) -> None:
    """By its first line."""
    await detached.begin("a", script="#!/usr/bin/env -S awk -f\nBEGIN { print 6 * 7 }", timeout=LIMIT)

    lines, _ = await job_events(detached, "a")

    assert texts(lines) == ["42"]


async def test_a_script_that_arrives_in_part_is_not_run(detached: Detached, tmp_path: Path) -> None:
    """As when the connection dies while it is sent."""
    with pytest.raises(PctFailed, match="did not arrive whole"):
        await detached._ask("begin", "a", "10", "1", "1000", stdin=b"half a tar")

    assert await detached.look("a") == Absent()


async def test_state_is_roots(detached: Detached, tmp_path: Path) -> None:
    """Nobody else in the guest reads a script or its output."""
    await detached.begin("a", script="true", timeout=LIMIT)

    assert (tmp_path / "runs" / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "a b", "x" * 300])
async def test_a_key_is_one_name(detached: Detached, key: str) -> None:
    """It becomes a folder."""
    with pytest.raises(ValueError, match="not a key"):
        await detached.look(key)
