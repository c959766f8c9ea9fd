"""A Ray cluster of two machines, played by two nodes with a processor each: prints its address, and ends with stdin."""

from __future__ import annotations

import os
import sys

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_gcs_server_request_timeout_seconds": "10"}

from ray.cluster_utils import Cluster

ATTEMPTS = 5  # Ray gives a node half a minute to start, which on a busy machine is not enough


def started() -> Cluster:
    for attempt in range(1, ATTEMPTS + 1):
        cluster = Cluster()
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, include_dashboard=False)
        except Exception:
            cluster.shutdown()
            if attempt == ATTEMPTS:
                raise
        else:
            return cluster
    raise AssertionError


if __name__ == "__main__":
    nodes = started()
    print(nodes.address, flush=True)
    sys.stdin.read()
    nodes.shutdown()
