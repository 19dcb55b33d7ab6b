"""Planning: which ready step comes first, how long a run will take, and what other throttles would do.

Pure functions over graphs and durations; the scheduler and the simulator use the same ones.
"""
