import pytest

from evoprompt.learn.heredity import heredity, margin, similarity

PARENT = ["class Net", "conv 8", "norm", "relu", "head"]
OTHER = ["class Net", "linear 64", "gelu", "linear 64", "head"]


def test_similarity_is_the_share_of_lines_that_stand_in_both_in_order():
    assert similarity(PARENT, PARENT) == 1.0
    assert similarity(PARENT, OTHER) == pytest.approx(0.4)
    assert similarity([], []) == 1.0
    assert similarity(PARENT, []) == 0.0
    assert similarity(["a", "b"], ["b", "a"]) == 0.5


def test_a_child_of_its_parent_has_a_margin_and_a_copy_of_anothers_a_negative_one():
    child = [*PARENT[:2], "tanh", *PARENT[3:]]
    assert margin(child, [PARENT], [OTHER]) == pytest.approx(0.8 - 0.4)
    assert margin(OTHER, [PARENT], [OTHER]) == pytest.approx(0.4 - 1.0)


def test_the_nearest_of_several_parents_counts():
    assert margin(OTHER, [PARENT, OTHER], [PARENT]) == pytest.approx(1.0 - 0.4)


def test_heredity_is_a_share_of_what_true_children_inherit():
    assert heredity([0.2, 0.4], [0.4, 0.4]) == pytest.approx(0.75)
    assert heredity([0.5], [0.5]) == 1.0
    assert heredity([], [0.5]) is None
    assert heredity([0.5], []) is None
    assert heredity([0.5], [0.0]) is None
