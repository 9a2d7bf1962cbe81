"""Inventory's handlers: one method per subject."""
