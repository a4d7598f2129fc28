"""Runs side by side: finding them, reading them, and telling which can be ranked together."""
