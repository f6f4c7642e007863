"""How fast afterfit trains, measured against PyTorch and plain JAX on this machine. `python -m benchmarks --help`."""
