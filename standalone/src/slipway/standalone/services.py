"""The services of a stack, as far as starting them goes."""

START_ORDER = ("inventory", "gateway", "catalog", "monitor", "provisioner")
"""All of them: first what others ask, and what takes longest; each waits for the others by itself."""
WITH_TABLES = ("gateway", "inventory", "catalog")
"""Those with a schema in the database."""
ACTING = frozenset({"provisioner"})
"""Those that change something on a host."""
