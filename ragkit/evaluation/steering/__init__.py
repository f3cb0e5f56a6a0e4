"""How far bad context bends a generator: mixtures, behaviour curves, and what the answers took over."""
