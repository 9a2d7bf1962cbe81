"""`python -m slipway.provisioner serve | check`."""

from slipway.provisioner.app import build
from slipway.runtime.process.main import main

if __name__ == "__main__":
    main("provisioner", build)
