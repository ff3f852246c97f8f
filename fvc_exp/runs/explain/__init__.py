"""What a run has learned: coefficients, importance of features, the path over C, and scores of slices.

All of it is made on demand, for it costs many fits; the functions take a ``RunResult`` and give polars frames.
"""
