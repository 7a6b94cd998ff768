"""What runs in Lambda: one session written to the cluster and read back, with the cache's own latency measured."""
