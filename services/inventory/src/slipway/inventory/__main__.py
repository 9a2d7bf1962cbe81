"""`python -m slipway.inventory serve | migrate | check`."""

from slipway.inventory.app import build, migrate
from slipway.runtime.process.main import main

if __name__ == "__main__":
    main("inventory", build, migrate=migrate)
