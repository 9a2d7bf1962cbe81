"""The node itself: containers, storages, locks, tasks and what they do to one another."""
