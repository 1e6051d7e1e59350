"""How fast models train and predict here, and how long they take to an accuracy: `zoo.benchmarking.bench.benchmark`.

    matrix (what to measure) -> bench (rounds of jobs, each in a process of its own) -> record -> comparison

Importing this package imports no TensorFlow: that happens in the processes that measure.
"""
