"""`python -m slipway.catalog serve | migrate | check`."""

from slipway.catalog.app import build, migrate
from slipway.runtime.process.main import main

if __name__ == "__main__":
    main("catalog", build, migrate=migrate)
