"""Convolutions that are fast on CPU, behind two functions."""
