"""Methods of fixed steps that are no Runge-Kutta methods: symplectic and reversible."""
