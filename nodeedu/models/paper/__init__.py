"""Figures of the paper, made anew: each module has ``run(folder) -> exit code`` and ``train(file)``.

R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural ordinary differential equations", NeurIPS 2018.
"""
