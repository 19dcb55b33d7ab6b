"""The systems that benchmarks/buckets.py measures Longshore against, one module each."""
