"""What `ctxenc.app` serves: one page with three tabs, a file each, and what answers it."""

import threading

LOCK = threading.Lock()
"""Held by what composes a configuration (Hydra has one state for all threads) or fills a photo."""
