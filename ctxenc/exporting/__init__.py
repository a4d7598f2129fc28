"""The generator alone, to use without ctxenc."""
