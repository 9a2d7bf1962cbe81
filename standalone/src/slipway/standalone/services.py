"""The services of a stack, as far as starting them goes."""

START_ORDER = ("catalog", "inventory", "monitor", "provisioner", "gateway")
"""All of them; the gateway last, because it asks the others."""
WITH_TABLES = ("gateway", "inventory", "catalog")
"""Those with a schema in the database."""
