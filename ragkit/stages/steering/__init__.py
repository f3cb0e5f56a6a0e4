"""What the steering stages share: verdicts on passages, how a model is asked for them, and trust classifiers."""
