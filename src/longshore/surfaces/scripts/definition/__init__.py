"""Definitions of workflows: what their files say, how they are read, checked and compared."""
