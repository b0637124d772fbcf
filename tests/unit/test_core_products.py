"""Products of a prediction, joined by name."""

import numpy as np

from zoo.core.localizations import Localizations
from zoo.core.products import Image, Products, Table


def part(shape, outer, **facts):
    return Image("image", np.ones(shape), "yxc", {"y": 50.0}, outer, **facts)


def test_tables_of_one_name_follow_each_other():
    pieces = [
        Table("localizations", Localizations(x_nm=np.ones(n), y_nm=np.ones(n)))
        for n in (2, 3)
    ]
    products = Products(pieces)
    assert len(products.localizations) == 5
    assert products.image is None
    assert Products().localizations is None


def test_parts_of_a_series_are_arranged_as_they_say():
    outer = (("t", 2), ("z", 3))
    products = Products(part((2, 4, 5, 2), outer) for _ in range(3))
    image = products.main
    assert (image.axes, image.array.shape) == ("tzyxc", (2, 3, 4, 5, 2))
    assert image.pixel_size_nm == {"y": 50.0}


def test_axes_of_length_one_are_left_out_but_never_those_of_space():
    image = Products([part((1, 1, 5, 1), (("t", 1),), channel_names=("a",))]).main
    assert (image.axes, image.array.shape, image.channel_names) == ("yx", (1, 5), ())


def test_the_main_image_comes_before_maps():
    images = [Image(name, np.zeros((2, 2)), "yx") for name in ("error_map", "volume")]
    assert Products(images).main.name == "volume"
    assert Products(images[:1]).main is None
