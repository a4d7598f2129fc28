"""Filling holes in photographs of any size with a trained generator."""
