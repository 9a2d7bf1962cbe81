"""All SQL of inventory. What changes here leaves through the outbox in the same transaction."""
