"""Devices, processes, memory, signals: what a run needs of the machine that it runs on."""
