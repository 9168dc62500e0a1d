"""Implicit Runge-Kutta methods: collocation, Newton's method with the exact Jacobian, radau5's step control."""
