"""What things cost, in microseconds; `python -m benchmarks` prints all figures."""
