"""Other ways to run a function over a million records, as benchmarks/pipelines.py drives them."""
