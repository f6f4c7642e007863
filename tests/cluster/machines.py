"""A Ray cluster that does what it is told on standard input: add, remove or lose a node; it ends with the input."""

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from ray.cluster_utils import Cluster

STORE = 80_000_000  # bytes of shared memory of a node, the least that Ray takes


def kill_all(pid: int) -> None:
    """Kill a process and all that it has started."""
    with suppress(OSError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        for child in [int(child) for task in tasks for child in (task / "children").read_text().split()]:
            kill_all(child)
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Say the address, then do what is asked, word by word."""
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    cluster, nodes, said = Cluster(initialize_head=True, head_node_args=head), [], os.dup(1)
    os.dup2(2, 1)  # what Ray prints is not for the one who asks

    def say(word: str) -> None:
        os.write(said, f"{word}\n".encode())

    say(cluster.address)
    for line in sys.stdin:
        match line.strip():
            case "add":
                nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE))
            case "remove":
                cluster.remove_node(nodes.pop())
            case "lose":
                node = nodes.pop(0)
                for started in [each for kind in node.all_processes.values() for each in kind]:
                    kill_all(started.process.pid)
                cluster.worker_nodes.discard(node)
        say("done")
    cluster.shutdown()


if __name__ == "__main__":
    main()
