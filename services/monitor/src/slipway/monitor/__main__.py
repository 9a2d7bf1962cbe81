"""`python -m slipway.monitor serve | check`."""

from slipway.monitor.app import build
from slipway.runtime.process.main import main

if __name__ == "__main__":
    main("monitor", build)
