"""Removal of the static background of a movie while it is read."""

import numpy as np
import pytest

import zoo.io.background as module
from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.io.background import FEWEST_FRAMES, StillStack
from zoo.io.stacks import open_stack
from zoo.tasks.density import Density
from zoo.tasks.image import ImageRestoration

CONTRACT = Contract(
    grid=Grid.square(scale=8, halo=4), input=Frames(scaling="spots"), task=Density()
)


def blinking(frames: int = 120, edge: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return a movie (t, y, x) uint16 with one spot now and then, and its haze."""
    rng = generator(3)
    haze = 100 + 300 * np.outer(np.hanning(edge), np.hanning(edge))
    movie = haze + rng.normal(0, 3, (frames, edge, edge))
    movie[::7, 5, 5] += 500
    return movie.round().astype(np.uint16), haze


def open_movie(movie: np.ndarray) -> StillStack:
    return StillStack(open_stack(movie, pixel_size_nm=100.0))


def test_what_does_not_change_goes_and_what_blinks_stays() -> None:
    movie, haze = blinking()
    still = open_movie(movie).read(0, 120)[..., 0]
    level = np.median(haze)
    dark = np.delete(still, np.arange(0, 120, 7), axis=0)
    assert abs(dark.mean(axis=0) - level).max() < 3
    assert abs(still[::7, 5, 5].mean() - level - 500) < 5


def test_reading_frames_one_by_one_gives_the_same() -> None:
    movie, _ = blinking(frames=250)
    whole = open_movie(movie).read(0, 250)
    stack = open_movie(movie)
    apart = [stack.read(number, number + 1)[0] for number in range(250)]
    np.testing.assert_array_equal(whole, apart)
    # in any order, though only some backgrounds are kept
    np.testing.assert_array_equal(stack.read(3, 5), whole[3:5])


def test_a_background_that_drifts_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 20)
    monkeypatch.setattr(module, "WINDOW", 40)
    _, haze = blinking()
    fading = haze * np.linspace(2, 1, 200)[:, None, None]
    still = open_movie(fading.astype(np.float32)).read(0, 200)
    spread = np.ptp(still, axis=(1, 2, 3))
    assert spread.max() < 0.2 * np.ptp(fading, axis=(1, 2)).min()


def test_few_frames_are_held_of_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    movie, _ = blinking(frames=300)
    plain = open_stack(movie, pixel_size_nm=100.0)
    monkeypatch.setattr(module, "MEMORY_BYTES", 30 * 4 * 144)
    assert StillStack(plain).changes["background_frames"] == 30
    monkeypatch.setattr(module, "MEMORY_BYTES", 1)
    assert StillStack(plain).changes["background_frames"] == FEWEST_FRAMES


def test_saturated_and_constant_frames_are_left_alone() -> None:
    movie, _ = blinking()
    movie[4, 2, 2] = 65535
    movie[9] = 70
    still = open_movie(movie).read(0, 120)[..., 0]
    assert still[4, 2, 2] == 65535
    assert np.all(still[9] == 70)


def test_the_option_reaches_the_recording_and_its_report() -> None:
    movie, _ = blinking()
    options = Frames.options(subtract_background=True)  # pyright: ignore[reportCallIssue]
    given = CONTRACT.input.open(
        movie, CONTRACT, name="p", options=options, pixel_size_nm=100.0
    )
    assert given.report()["options"]["subtract_background"] is True
    plain = CONTRACT.input.open(
        movie, CONTRACT, name="p", options=Frames.options(), pixel_size_nm=100.0
    )
    assert "subtract_background" not in plain.report()["options"]
    first = next(iter(given.chunks(1)))[1]
    assert np.ptp(first) > 400  # the spot of the first frame
    assert not np.array_equal(first, next(iter(plain.chunks(1)))[1])


def test_what_cannot_have_a_static_background_is_refused() -> None:
    movie, _ = blinking(frames=FEWEST_FRAMES - 1)
    with pytest.raises(BadInput, match=r"19 frames.* 20 or more"):
        open_movie(movie)
    planes = open_stack(np.zeros((30, 2, 8, 8)), pixel_size_nm=100.0)
    planes.outer = (("t", 30), ("z", 2))
    with pytest.raises(BadInput, match="backgrounds differ"):
        StillStack(planes)
    options = Frames.options(subtract_background=True)  # pyright: ignore[reportCallIssue]
    images = CONTRACT.override(input=Frames(scaling="image"), task=ImageRestoration())
    with pytest.raises(BadInput, match="what does not blink"):
        images.input.open(
            blinking()[0], images, name="p", options=options, pixel_size_nm=100.0
        )
