"""Filling holes in photographs of any size with a trained generator."""

import numpy as np
from jaxtyping import Bool, UInt8

Photo = UInt8[np.ndarray, "height width c"]  # grey (one channel) or RGB
Missing = Bool[np.ndarray, "height width"]  # which of a photograph's pixels are
