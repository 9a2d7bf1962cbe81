"""Access to a new cluster, made on a node by root's password, which is used once and stored nowhere."""
