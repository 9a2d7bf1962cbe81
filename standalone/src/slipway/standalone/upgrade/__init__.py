"""From the data of one build to that of the next, or back to where it was."""
