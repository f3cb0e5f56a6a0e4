"""What `rerank.rebel` is made of: criteria as data, prompts and replies, composite scores, metadata scorers."""
