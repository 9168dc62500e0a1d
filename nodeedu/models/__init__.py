"""Models trained on data, and the paper's experiments: `flow` (densities), `paper` (figures with claims)."""
