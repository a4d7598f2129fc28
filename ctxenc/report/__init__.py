"""What a run shows: progress, sample grids, curves; and what pages look like."""

from pathlib import Path

LOOK = Path(__file__).with_name("look.css")
"""The styles that all pages begin with."""
