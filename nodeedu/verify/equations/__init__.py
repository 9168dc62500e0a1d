"""The equations of the derivations, with both sides as code, and the mutants that their checks must catch."""
