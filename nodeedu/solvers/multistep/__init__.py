"""Adams methods: of fixed order and step (fixed_order.py), and of variable order and step (adams.py)."""
