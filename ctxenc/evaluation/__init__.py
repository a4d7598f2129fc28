"""Measuring a generator on held-out images with frozen masks, beside the baselines."""
