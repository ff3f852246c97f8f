"""What a run has learned: coefficients, importance of features, the path over C, and scores of slices.

All of it is made on demand, because it costs many fits; the functions take a ``RunResult`` and return polars frames.
"""
