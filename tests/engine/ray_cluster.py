"""A sweep on a Ray cluster of a head and a node on this machine, which is killed on the way.

python tests/engine/ray_cluster.py WORKDIR
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import ray
from ray._private.node import Node
from ray.cluster_utils import Cluster

# Nobody looks at this cluster, or asks it to grow.
UNUSED = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}


def main() -> None:
    Node.start_api_server = lambda *_, **__: None
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **UNUSED})
    node = cluster.add_node(wait=False, num_cpus=1)
    # While the cluster comes up.
    from configs import shallow
    from experiments.engine import ray_executor, space, sweeping

    cluster.wait_for_nodes()
    run_on_ray = ray_executor.run_on_ray

    def losing_a_node(*arguments, **options):
        for number, found in enumerate(run_on_ray(*arguments, **options), start=1):
            if number == 1:
                # Both are at work again.
                deadline = time.monotonic() + 10
                while ray.available_resources().get("CPU", 0):
                    assert time.monotonic() < deadline, "head and node have nothing to do"
                    time.sleep(0.01)
                cluster.remove_node(node, allow_graceful=False)
                print("a node was killed", flush=True)
            yield found

    ray_executor.run_on_ray = losing_a_node
    base = shallow.get_config()
    base.update(dataset="synthetic", epochs=40, hidden=(8,), probes=())
    trials = space.make_trials(base, None, {"learning_rate": [0.01, 0.02], "seed": [0, 1, 2, 3]})
    sweeping.run(base, trials, sys.argv[1], executor="ray", address=cluster.address, most_lanes=2)
    cluster.shutdown()


if __name__ == "__main__":
    main()
