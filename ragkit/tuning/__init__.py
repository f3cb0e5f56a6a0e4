"""Tuning: data from a pipeline's own questions, training, and the proof that the result is better."""
