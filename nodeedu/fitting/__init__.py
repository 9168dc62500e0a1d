"""`nodeedu fit`: a Neural ODE for a table of observations, checked and compared before it is believed.

    table -> coordinates -> gradient check -> training -> baselines, errors -> report, figure, model

What needs only NumPy is imported here; `fitting.job` and `fitting.model` bring in the compiler.
"""

from .table import DataError, Table, read_table

__all__ = ["DataError", "Table", "read_table"]
