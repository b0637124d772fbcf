import keras
import numpy as np
import pytest
from keras import layers

from converters.mapping import (
    MappingError,
    Move,
    apply_moves,
    weights_by_path,
)


def small_model():
    start = keras.Input((6, 5, 2), name="image")
    x = layers.Conv2D(3, (3, 2), name="conv")(start)
    return keras.Model(start, layers.Dense(4, use_bias=False, name="dense")(x))


def tensors_of_a_file():
    rng = np.random.default_rng(1)
    return {
        "0.weight": rng.normal(size=(3, 2, 2, 3)),
        "0.bias": rng.normal(size=3),
        "1.weight": rng.normal(size=(3, 4)),
    }


MOVES = [
    Move("conv/kernel", ("0.weight",)),
    Move("conv/bias", ("0.bias",)),
    Move("dense/kernel", ("1.weight",)),
]


def test_every_tensor_arrives():
    model, tensors = small_model(), tensors_of_a_file()
    apply_moves(model, tensors, MOVES)
    for weight, tensor in zip(model.weights, tensors.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(weight), tensor.astype("float32"))


def test_several_tensors_are_combined_and_others_left_out_with_a_reason():
    model, tensors = small_model(), tensors_of_a_file()
    tensors |= {"1.gain": np.array([2.0, 3.0, 5.0, 7.0]), "steps": np.array(9)}
    gained = Move("dense/kernel", ("1.weight", "1.gain"), lambda w, g: w * g)
    apply_moves(
        model, tensors, [*MOVES[:2], gained], left_out={"steps": "a counter, no weight"}
    )
    dense = np.asarray(model.get_layer("dense").kernel)
    np.testing.assert_allclose(dense[0, 2], 5.0 * tensors["1.weight"][0, 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "moves", "complaint"),
    [
        ({"extra": np.ones(2)}, MOVES, "left over: extra"),
        ({"0.bias": None}, MOVES, "has no tensor: 0.bias"),
        ({}, MOVES[:2], "left over: 1.weight; weights are not set: dense/kernel"),
        ({}, [*MOVES, MOVES[1]], "used twice: 0.bias; weights are set twice: conv/b"),
        ({}, [*MOVES, Move("a/b", ())], "the model has no weight: a/b"),
        ({"0.bias": np.ones(4)}, MOVES, r"0.bias \(4,\) → conv/bias"),
        (
            {"0.weight": np.ones((3, 2, 3, 2))},
            MOVES,
            r"0.weight \(3, 2, 3, 2\) → conv/kernel \(3, 2, 2, 3\)",
        ),
        ({"0.bias": np.full(3, np.nan)}, MOVES, "0.bias holds values"),
        ({"0.bias": np.ones(3, complex)}, MOVES, "0.bias holds values"),
    ],
)
def test_nothing_is_assigned_unless_all_fits(tensors, moves, complaint):
    model = small_model()
    tensors = tensors_of_a_file() | tensors
    tensors = {name: t for name, t in tensors.items() if t is not None}
    before = [np.asarray(w).copy() for w in model.weights]
    with pytest.raises(MappingError, match=complaint) as caught:
        apply_moves(model, tensors, moves)
    assert "\n" not in str(caught.value)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(new))


def test_long_lists_of_names_are_cut():
    tensors = {f"t{i}": np.ones(1) for i in range(30)}
    with pytest.raises(MappingError, match="t7 and 22 more"):
        apply_moves(small_model(), tensors, [])


def test_several_tensors_need_a_function():
    model, tensors = small_model(), tensors_of_a_file()
    moves = [*MOVES[:1], Move("conv/bias", ("0.bias", "1.weight"))]
    moves.append(Move("dense/kernel", ()))
    with pytest.raises(ValueError, match="function to combine"):
        apply_moves(model, tensors, moves)


def test_shared_paths_are_refused():
    def block():
        start = keras.Input((4,))
        return keras.Model(start, layers.Dense(4, name="dense")(start))

    start = keras.Input((4,))
    model = keras.Model(start, block()(block()(start)))
    with pytest.raises(MappingError, match="share a path"):
        weights_by_path(model)
