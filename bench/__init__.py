"""The performance harness: figures of one stack, measured in one run, beside a peer of the same run."""
