"""Where the texts of a figure lie."""

import numpy as np
from matplotlib.text import Text


def labels_out_of_view(axis):
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]


def texts_of(figure):
    """The text and the box of each text that can be seen, in pixels."""
    figure.draw_without_rendering()
    hidden = [label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in labels_out_of_view(axis)]
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible() and text not in hidden]
    return [(text.get_text(), text.get_window_extent()) for text in texts]


def check_texts(figure):
    """No text leaves the picture or lies on another."""
    texts = texts_of(figure)
    boxes = np.array([box.extents for _, box in texts])
    within = (boxes[:, :2] > -1).all(1) & (boxes[:, 2:] < figure.bbox.extents[2:] + 1).all(1)
    assert within.all(), [text for (text, _), inside in zip(texts, within) if not inside]
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    first, second = np.nonzero(np.triu((high - low > 1).all(2), 1))
    assert not len(first), [(texts[i][0], texts[j][0]) for i, j in zip(first, second)]
