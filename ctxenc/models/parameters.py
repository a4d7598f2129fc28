"""How large a network is."""

from collections.abc import Mapping
from typing import Any

import jax


def count_parameters(variables: Mapping[str, Any]) -> int:
    """Counts a network's numbers as Keras does: parameters and moving statistics.

    Args:
        variables: What a network's `init` returns, or its shapes from `jax.eval_shape`.

    Returns:
        How many numbers there are in "params" and "batch_stats".
    """
    counted = [variables.get("params", {}), variables.get("batch_stats", {})]
    return sum(leaf.size for leaf in jax.tree.leaves(counted))
