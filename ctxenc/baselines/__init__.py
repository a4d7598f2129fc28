"""Fills that need no training."""
