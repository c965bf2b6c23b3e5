"""Quantization-aware training of BERT classifiers for the integers of docs/numerics.md."""
