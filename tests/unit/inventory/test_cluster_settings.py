"""What an admin may set for a cluster, reported with the field's name."""

import pytest

from slipway.contracts.cluster_settings import ClusterLimits
from slipway.inventory.clusters.settings_rules import ClusterSettingsInvalid, normal_limits


def test_mount_paths_are_stored_in_one_way_and_once() -> None:
    """However many slashes they are written with."""
    limits = ClusterLimits(restricted_keys=True, mount_paths=("/srv/media/", "//srv//media", "/data/./www"))

    assert normal_limits(limits).mount_paths == ("/srv/media", "/data/www")


@pytest.mark.parametrize("path", ["srv", "", "/srv/../etc", "/srv/a,mp=b", "/srv/\n", "/ü"])
def test_a_mount_path_that_could_mean_another_place_is_refused(path: str) -> None:
    """It is never guessed at."""
    limits = ClusterLimits(restricted_keys=True, mount_paths=("/srv", path))

    with pytest.raises(ClusterSettingsInvalid) as refused:
        normal_limits(limits)

    assert [each.field for each in refused.value.errors] == ["mount_paths.1"]


def test_mount_paths_alone_are_refused() -> None:
    """They would allow nothing, which nobody means."""
    with pytest.raises(ClusterSettingsInvalid, match="restricted_keys is off"):
        normal_limits(ClusterLimits(mount_paths=("/srv",)))
