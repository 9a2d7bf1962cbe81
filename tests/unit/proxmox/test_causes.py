"""Of a failed task's log the lines that say why are found, and nothing else is called a cause."""

import pytest

from slipway.proxmox.causes import causes, with_causes

TAR = "unable to create CT 100 - command 'lxc-usernsexec -- tar xpf -' failed: exit code 2"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            [
                "Creating filesystem with 1048576 4k blocks and 262144 inodes",
                "extracting archive '/var/lib/vz/template/cache/debian.tar.zst'",
                "tar: ./usr/bin/perl: Cannot write: No space left on device",
                f"TASK ERROR: {TAR}",
            ],
            "tar: ./usr/bin/perl: Cannot write: No space left on device",
        ),
        (
            [
                "INFO: creating vzdump archive '/mnt/backup/dump/vzdump-lxc-100-2026_11_28.tar.zst'",
                "INFO: zstd: error 70 : Write error : cannot write block : No space left on device",
                "ERROR: Backup of VM 100 failed - command 'tar | zstd' failed: exit code 70",
                "INFO: Failed at 2026-11-28 16:11:49",
            ],
            "INFO: zstd: error 70 : Write error : cannot write block : No space left on device",
        ),
        (
            ["run_buffer: 571 Script exited with status 2", "bridge 'vmbr9' does not exist"],
            "bridge 'vmbr9' does not exist",
        ),
        (
            ["zstd: /*stdin*\\: unsupported format", "tar: This does not look like a tar archive"],
            "tar: This does not look like a tar archive",
        ),
        (["2026-11-28 16:11:49 ERROR: migration aborted"], "2026-11-28 16:11:49 ERROR: migration aborted"),
    ],
)
def test_the_cause_is_found(log: list[str], cause: str) -> None:
    """It stands above the last line, which only says that something failed."""
    assert causes(log)[0] == cause


def test_without_a_cause_the_end_is_shown_as_it_is() -> None:
    """What is harmless is no cause."""
    log = ["INFO: Starting Backup of VM 100 (lxc)", "WARN: it does not exist yet", "TASK ERROR: job errors"]

    assert with_causes("job errors", log) == "job errors"


def test_the_cause_comes_first() -> None:
    """Before Proxmox's own words, which are not lost; what they say already is not repeated."""
    log = ["mke2fs: No space left on device", "volume 'a' does not exist"]

    assert with_causes("volume 'a' does not exist", log) == (
        "mke2fs: No space left on device. Proxmox: volume 'a' does not exist"
    )
