"""The performance harness: figures of one stack, measured in one run, beside a peer of the same run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
