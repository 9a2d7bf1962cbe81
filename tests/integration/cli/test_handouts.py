"""What `slipway up` writes, as root, into folders of the user that services run as."""

from pathlib import Path

from slipway.standalone.folders import write_whole


def test_a_link_leads_nowhere(tmp_path: Path) -> None:
    """Neither in the place of the file nor of its draft; what it led to stays as it was."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("as it was")
    copy = tmp_path / "service" / "key"
    copy.parent.mkdir()
    copy.symlink_to(elsewhere)
    copy.with_name(".key.new").symlink_to(elsewhere)

    write_whole(copy, "new")

    assert (elsewhere.read_text(), copy.read_text(), copy.is_symlink()) == ("as it was", "new", False)
