"""What a job can do."""

from enum import StrEnum


class JobKind(StrEnum):
    """What a job does."""

    CREATE = "container.create"
    DELETE = "container.delete"
    START = "container.start"
    STOP = "container.stop"
    SHUTDOWN = "container.shutdown"
    """Cleanly; what does not listen within the grace is stopped."""
    RESTART = "container.restart"
    """A reboot; one that is not listened to is stopped and started."""
    RESIZE = "container.resize"
    CONFIGURE = "container.configure"
    SNAPSHOT = "container.snapshot"
    ROLLBACK = "container.rollback"
    SNAPSHOT_DELETE = "container.snapshot-delete"
    BACKUP = "container.backup"
    RESTORE = "container.restore"
    """In place: what came after the backup is lost."""
    CLONE = "container.clone"
    """A new container like another one; the job is the new one's."""
    MIGRATE = "container.migrate"
    """To another node of its cluster."""
    UNLOCK = "container.unlock"
    """Takes away a lock that no running task holds."""
    REVERT = "container.revert"
    """Changes that wait for the next start are dropped."""
    BATCH = "batch"
    """Many jobs with one parent; inventory's alone, no worker runs it."""

    @property
    def creates_container(self) -> bool:
        """Whether its container does not exist before it."""
        return self in {JobKind.CREATE, JobKind.CLONE}

    @property
    def destroys(self) -> bool:
        """Whether it takes something away for good: asked before, and of many done only as it was shown."""
        return self in {
            JobKind.DELETE,
            JobKind.ROLLBACK,
            JobKind.RESTORE,
            JobKind.SNAPSHOT_DELETE,
            JobKind.UNLOCK,
        }
