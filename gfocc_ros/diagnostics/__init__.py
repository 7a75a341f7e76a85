"""How the node is doing: statistics of frames, rules of health, /diagnostics."""
