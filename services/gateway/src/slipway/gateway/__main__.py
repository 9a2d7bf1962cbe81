"""`python -m slipway.gateway serve | migrate | check`."""

from slipway.gateway.app import build, migrate
from slipway.runtime.process.main import main

if __name__ == "__main__":
    main("gateway", build, migrate=migrate)
