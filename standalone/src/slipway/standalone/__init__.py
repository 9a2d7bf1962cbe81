"""The whole of Slipway on one machine: `slipway up`, the demo, the servers it brings along."""
