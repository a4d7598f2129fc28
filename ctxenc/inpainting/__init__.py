"""Filling holes in photographs of any size with a trained generator."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

Photo = UInt8[np.ndarray, "height width c"]  # grey (one channel) or RGB
PixelMask = Bool[np.ndarray, "height width"]  # a photograph's missing, or known, pixels
ModelImage = Float[np.ndarray, "size size colours"]  # in the model's own pixels, 0 to 255
