"""The order conditions themselves: the trees, their densities and weights, and what they say of known methods."""

import numpy as np

from nodeedu.order_conditions import attained_order, density, missed_condition, notation, rooted_trees, tree_order

GAUSS_A = np.array([[1 / 4, 1 / 4 - np.sqrt(3) / 6], [1 / 4 + np.sqrt(3) / 6, 1 / 4]])


def test_the_number_of_trees_is_the_published_one():
    # Hairer, Norsett & Wanner I, table II.2.1; OEIS A000081.
    assert [len(rooted_trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


def test_every_tree_is_listed_once_and_has_the_order_asked_for():
    for n in range(1, 9):
        assert len(set(rooted_trees(n))) == len(rooted_trees(n))
        assert {tree_order(tree) for tree in rooted_trees(n)} == {n}


def test_densities_of_the_trees_of_order_four_are_the_published_ones():
    # Hairer, Norsett & Wanner I, table II.2.2.
    assert {notation(tree): density(tree) for tree in rooted_trees(4)} == {
        "[t t t]": 4,
        "[t [t]]": 8,
        "[[t t]]": 12,
        "[[[t]]]": 24,
    }


def test_the_tree_weights_count_the_labellings_of_all_trees():
    # Each tree of order n has n! / (gamma * symmetry) monotonic labellings, and all trees together have (n - 1)!.
    from math import factorial, prod

    def symmetry(tree):
        return prod(symmetry(child) for child in tree) * prod(factorial(tree.count(child)) for child in set(tree))

    for n in range(1, 9):
        labellings = [factorial(n) // (density(tree) * symmetry(tree)) for tree in rooted_trees(n)]
        assert sum(labellings) == factorial(n - 1)


def test_the_two_stage_gauss_method_has_order_four_and_no_more():
    assert attained_order(GAUSS_A, [1 / 2, 1 / 2]) == 4


def test_a_collocation_polynomial_has_the_order_of_its_stages_at_every_theta():
    # Gauss with 2 nodes: b(theta) integrates the Lagrange polynomials of its nodes, which is exact up to theta**2 only.
    c1, c2 = 1 / 2 - np.sqrt(3) / 6, 1 / 2 + np.sqrt(3) / 6
    interpolant = np.array([[-c2, 1 / 2], [-c1, 1 / 2]]) / np.array([[c1 - c2], [c2 - c1]])
    assert attained_order(GAUSS_A, interpolant) == 2


def test_a_dense_output_of_low_degree_misses_the_powers_that_it_lacks():
    # b(theta) = theta: exact for z' = const, and theta**2 / 2 is out of reach.
    assert missed_condition([[0.0]], [[1.0]]) == ((),)


def test_weights_that_do_not_sum_to_one_have_order_zero():
    assert attained_order([[0.0]], [0.9]) == 0


