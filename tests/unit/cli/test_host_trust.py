"""Which machine is trusted without a terminal: the one that was said beforehand."""

import pytest

from slipway.cli.host_trust import Untrusted, trusted_fingerprint, trusted_host_key
from slipway.cli.questions import NotAsked

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA0UbEYm2E9tpEDGUsPmjoZCZ3ZaBzWD4um"
SEEN = {
    "address": "pve1",
    "port": 22,
    "host_key": KEY,
    "host_key_fingerprint": "SHA256:H9+3T",
    "endpoint": "https://pve1:8006",
    "tls_fingerprint": "AA:BB",
    "problems": ["No SSH server answers."],
}


@pytest.mark.parametrize("given", [KEY, f"{KEY} root@pve1", "SHA256:H9+3T"])
def test_a_key_that_was_given_is_trusted(given: str) -> None:
    """As a line of `known_hosts` without the host, with a comment or without, or by its fingerprint."""
    assert trusted_host_key(SEEN, given=given, accept_new=False) == KEY
    assert trusted_fingerprint(SEEN, "aabb") == "aabb"


@pytest.mark.parametrize("given", ["SHA256:other", "ssh-ed25519 BBBB", "", "SHA256:"])
def test_another_key_is_not(given: str) -> None:
    """Neither is another certificate, nor a machine that shows no key."""
    with pytest.raises(Untrusted, match="SHA256:H9"):
        trusted_host_key(SEEN, given=given, accept_new=True)
    with pytest.raises(Untrusted, match="AA:BB"):
        trusted_fingerprint(SEEN, "AA:BC")
    with pytest.raises(Untrusted, match="No SSH server"):
        trusted_host_key({**SEEN, "host_key": None}, given=None, accept_new=True)


def test_nothing_is_trusted_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal and without a key, only `--accept-new` trusts what is shown."""
    with open("/dev/null") as nobody:  # noqa: PTH123 - a stream, as standard input is one
        monkeypatch.setattr("sys.stdin", nobody)

        with pytest.raises(NotAsked, match="--accept-new"):
            trusted_host_key(SEEN, given=None, accept_new=False)

    assert trusted_host_key(SEEN, given=None, accept_new=True) == KEY


@pytest.mark.parametrize("is_known", [True, False])
def test_a_certificate_that_was_compared_is_not_shown_again(
    capsys: pytest.CaptureFixture[str],
    is_known: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Where it was not, it stands beside the host key."""
    trusted_host_key(SEEN, given=None, accept_new=True, is_certificate_known=is_known)

    said = capsys.readouterr().err
    assert "SHA256:H9+3T" in said
    assert ("AA:BB" in said) is not is_known
