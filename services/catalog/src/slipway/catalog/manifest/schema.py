"""Prints the JSON Schema of `template.yaml` for editors: `python -m slipway.catalog.manifest.schema > FILE`.

It comes from the model that checks templates; `infra/lxc/templates/template.schema.json` is its output.
"""

import json
import sys

from slipway.catalog.manifest.model import TemplatePart


def text() -> str:
    """Return the schema as in the file."""
    return json.dumps(TemplatePart.model_json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
