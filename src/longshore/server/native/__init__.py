"""Longshore's own HTTP API, under /longshore/v1: works, queues, keys, workers and the server."""
