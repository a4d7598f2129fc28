"""Several runs of one command: each in its own folder, a failure never stopping the others."""
