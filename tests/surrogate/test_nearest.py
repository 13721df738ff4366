"""Retrieval: the same graph first, alike ones before others."""

import numpy as np

from surrogate.encode import read
from surrogate.nearest import nearest
from surrogate.score import Surrogate
from tests.surrogate.nets import Recurrent, ReferenceCnn, export, make


def test_the_same_graph_comes_first_and_a_like_one_before_another_kind() -> None:
    among = [read(export(net)) for net in (Recurrent(), ReferenceCnn(30), ReferenceCnn(25))]
    graph = read(export(ReferenceCnn(25), weights_inside=True))
    found = nearest(Surrogate.load(), graph, among, 2)
    assert [each.index for each in found] == [2, 1]
    assert [each.is_same for each in found] == [True, False]
    assert abs(found[0].similarity - 1) < 1e-6
    assert found[1].similarity < found[0].similarity


def test_vectors_have_length_one() -> None:
    graphs = [read(export(*make(name))) for name in ("reference", "residual", "image")]
    vectors = Surrogate.load().embed(graphs)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-9)


def test_asking_for_more_than_there_are_gives_all() -> None:
    graph = read(export(ReferenceCnn(8)))
    assert len(nearest(Surrogate.load(), graph, [graph], 10)) == 1
