"""`nodeedu flow`: a continuous normalising flow for points of the plane, for images, for a table of numbers.

    samples -> network, model -> objective -> training -> baselines -> report, figure, model.npz

`command` is the verb; `model` reads and writes the file; `job` is the whole of a training run.
"""
