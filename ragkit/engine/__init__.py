"""The engine: state, stages, nodes, the call layer, and runs. It knows no method and no model library."""
