import jax


def count_parameters(variables):
    """How many numbers a network has, as Keras counts: parameters and moving statistics."""
    counted = [variables.get("params", {}), variables.get("batch_stats", {})]
    return sum(leaf.size for leaf in jax.tree.leaves(counted))
