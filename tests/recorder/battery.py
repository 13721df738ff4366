"""The battery: every small module with which the recorder is tried, by family."""

from tests.recorder.algebra import ELEMENTWISE, PRODUCTS, REDUCTIONS
from tests.recorder.attention import ATTENTION, EMBEDDING
from tests.recorder.case import Case
from tests.recorder.convolution import CONVOLUTION, PADDING, POOLING, RESOLUTION
from tests.recorder.layers import ACTIVATION, LINEAR, NORMALISATION
from tests.recorder.places import IN_PLACE, INDEXING
from tests.recorder.refusals import COMPLEX, CONTROL_FLOW, RANDOM
from tests.recorder.sequence import RECURRENT
from tests.recorder.shapes import JOINING, MADE_IN_FORWARD, RESHAPING

BATTERY: list[Case] = [
    *(*CONVOLUTION, *POOLING, *PADDING, *RESOLUTION),
    *(*NORMALISATION, *ACTIVATION, *LINEAR),
    *(*RECURRENT, *ATTENTION, *EMBEDDING),
    *(*PRODUCTS, *REDUCTIONS, *ELEMENTWISE),
    *(*INDEXING, *IN_PLACE),
    *(*JOINING, *RESHAPING, *MADE_IN_FORWARD),
    *(*CONTROL_FLOW, *RANDOM, *COMPLEX),
]
