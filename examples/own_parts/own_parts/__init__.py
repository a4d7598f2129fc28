"""A mask, a loss, a network, a dataset and a baseline for ctxenc."""
