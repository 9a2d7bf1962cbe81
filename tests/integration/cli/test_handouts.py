"""What `slipway up` writes, as root, into folders of the user that services run as."""

import os
from pathlib import Path

import pytest

from slipway.standalone.embedded.process import EmbeddedFailure
from slipway.standalone.folders import DataFolder, write_whole
from slipway.standalone.handouts import hand_out
from slipway.standalone.keys import make_keys
from slipway.standalone.services import WITH_TABLES
from support.stack import stack_folder


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


@pytest.mark.root
async def test_a_service_cannot_lead_root_elsewhere() -> None:
    """It owns its folder, but not the one around it; a link that it has left there is refused."""
    with stack_folder() as path:
        folder = DataFolder(path)
        folder.take().close()
        await make_keys(data=str(folder.path))
        urls = dict.fromkeys(WITH_TABLES, "postgresql://")
        hand_out(folder, urls)
        own = (folder.path / "services").resolve() / "gateway"
        other = own.with_name("elsewhere")
        other.mkdir()
        owners = (own.stat().st_uid, own.parent.stat().st_uid)
        own.rename(own.with_name("moved"))
        own.symlink_to(other)
        os.chown(own, owners[0], -1, follow_symlinks=False)

        with pytest.raises(EmbeddedFailure, match="is a link that user"):
            hand_out(folder, urls)

        assert (owners[0] != 0, owners[1]) == (True, 0)
        assert (other.stat().st_uid, list(other.iterdir())) == (0, [])
