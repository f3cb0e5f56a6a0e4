"""What agents are made of: actions and their grammar, trajectories, searches without repetition, demonstrations."""
