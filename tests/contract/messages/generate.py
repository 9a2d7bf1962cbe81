"""Write the generated documents anew: `make contracts`. A golden sample that exists is never overwritten."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from contract.messages import documents

from slipway.contracts.registry import MESSAGES


def main() -> None:
    """Write what is missing or stale."""
    for path, text in documents.documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    documents.FINGERPRINTS.write_text(json.dumps(documents.fingerprints(), indent=1, sort_keys=True) + "\n")
    for message in MESSAGES:
        sample = documents.GOLDEN / f"{message.__name__}.json"
        if not sample.exists():
            sample.write_text(documents.golden(message))


if __name__ == "__main__":
    main()
