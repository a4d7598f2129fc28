"""From the command line and `conf/` to checked settings, and from these to objects."""
