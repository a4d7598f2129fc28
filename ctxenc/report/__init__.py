"""What a run shows: progress, sample grids, curves."""
