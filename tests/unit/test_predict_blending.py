"""Blending of tiles: exact for the identity, without seams for what tiles change."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.inputs.frames import Frames
from zoo.inputs.raw_frames import RawFrames
from zoo.predict.forward import forward
from zoo.predict.plan import make_plan
from zoo.predict.tiling import blended_spans, cut_batches, join, plan_tiles
from zoo.tasks.image import ImageRestoration


class _StandIn:
    """A network as the predictor sees it, around a function of (b, y, x, c)."""

    name = entry = "onnx"
    device = "CPU"

    def __init__(self, function):
        self.versions = {}
        self.shapes = []
        self._function = function

    def __call__(self, batch):
        self.shapes.append(batch.shape)
        return self._function(batch).astype(np.float32)


def _contract(
    tile, overlap, *, scale=1, halo=0, channels=1, source=None, before=(), batch=None
):
    names = [f"c{n}" for n in range(channels)]
    return Contract(
        grid=Grid.square(
            scale=scale, halo=halo, size=tile, overlap=overlap, channels=names
        ),
        input=source or Frames(),
        task=ImageRestoration(),
        preprocessing=before,
        postprocessing=(),
        batch=batch,
    )


def _run(function, contract, frames, **options):
    engine = _StandIn(function)
    height, width = frames.shape[1:3]
    plan = make_plan(contract, {"y": height, "x": width}, **options)
    output = forward(engine, contract, frames.astype(np.float32), plan=plan)
    size = contract.grid.axes["y"].size
    assert {shape[1:3] for shape in engine.shapes} == {(size, size)}
    return output


def _enlarged(batch, scale=2):
    return batch[..., :1].repeat(scale, 1).repeat(scale, 2)


SPANS = [
    (length, *tiles)
    for length in (1, 31, 32, 33, 40, 63, 64, 65, 97, 200, 511)
    for tiles in ((32, 1), (32, 8), (32, 31), (48, 7), (48, 16), (48, 31))
]


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("length", "tile", "overlap"), SPANS)
def test_windows_sum_to_one_and_leave_out_edges(length, tile, overlap, scale):
    spans = blended_spans(length, tile=tile, overlap=overlap)
    assert {span.stop - span.start for span in spans} == {min(tile, length)}
    total = np.zeros(length * scale)
    windows = []
    for span in spans:
        assert span.start <= span.keep_start < span.keep_stop <= span.stop
        window = np.zeros(length * scale)
        window[span.keep_start * scale : span.keep_stop * scale] = span.weights(scale)
        assert window.min() >= -1e-12
        assert window.max() <= 1 + 1e-12
        windows.append(window)
        total += window
    np.testing.assert_allclose(total, 1, atol=1e-12)
    # full weight up to the borders of the frame
    assert windows[0][0] == windows[-1][-1] == 1
    for i, (before, after) in enumerate(itertools.pairwise(spans)):
        assert before.stop - after.start >= overlap
        quarter = (before.stop - after.start) * scale // 4
        assert not windows[i + 1][: after.start * scale + quarter].any()
        assert not windows[i][before.stop * scale - quarter :].any()
    # smooth: no step exceeds the slope of half a cosine over half the least overlap
    steps = [np.abs(np.diff(window)).max(initial=0) for window in windows]
    assert max(steps) <= np.pi / (overlap * scale)


@pytest.mark.parametrize("overlap", [0, 32, 40])
def test_impossible_overlap(overlap):
    with pytest.raises(ValueError, match="overlap must be 1 to 31 px"):
        blended_spans(100, tile=32, overlap=overlap)


def test_no_more_tiles_than_needed():
    # 3 tiles of 128 that overlap by 32 cover 128 + 2 * 96 = 320 px
    assert len(blended_spans(320, tile=128, overlap=32)) == 3
    assert len(blended_spans(321, tile=128, overlap=32)) == 4
    assert (
        len(plan_tiles((320, 129), tile=(128, 128), halo=(0, 0), overlap=(32, 32)))
        == 3 * 2
    )


SIZES = [
    (8, 8),
    (20, 31),
    (32, 32),
    (33, 32),
    (31, 33),
    (9, 100),
    (64, 47),
    (127, 90),
]


@pytest.mark.parametrize("overlap", [1, 8, 13, 20])
@pytest.mark.parametrize("size", SIZES)
def test_identity_gives_the_frame_back(size, overlap):
    frames = np.random.default_rng(1).normal(50, 20, (3, *size, 1))
    contract = _contract(32, overlap, scale=2)
    for batch in (1, 4, 7):
        output = _run(_enlarged, contract, frames, batch_size=batch)
        np.testing.assert_allclose(output, _enlarged(frames), rtol=1e-6, atol=1e-5)


def test_frames_channels_and_fixed_batches():
    """Outputs of several channels; a network that only takes batches of five."""
    frames = np.random.default_rng(2).random((2, 70, 45, 3))
    contract = _contract(32, 12, channels=3, batch=5)
    output = _run(lambda batch: batch[..., ::-1], contract, frames)
    np.testing.assert_allclose(output, frames[..., ::-1], atol=1e-6)


def test_cut_and_join_of_blended_tiles():
    frames = np.random.default_rng(3).random((2, 50, 37, 2), dtype=np.float32)
    tiles = plan_tiles((50, 37), tile=(16, 20), halo=(0, 0), overlap=(5, 5))
    crops = np.concatenate(list(cut_batches(frames, tiles, 4)))
    joined = join(crops, tiles, (50, 37), count=2, scales=(1, 1))
    np.testing.assert_allclose(joined, frames, atol=1e-6)


def test_disturbed_edges_leave_no_trace():
    """A filter that reaches as far as the outermost quarter, with zeros outside."""

    def filtered(batch):
        return ndimage.convolve(batch, np.ones((1, 9, 9, 1)), mode="constant")

    frames = np.random.default_rng(4).random((2, 60, 88, 1))
    output = _run(filtered, _contract(32, 16), frames)
    np.testing.assert_allclose(output, filtered(frames), rtol=1e-5)
    # tiles that overlap by 4 px only
    near = _run(filtered, _contract(32, 4), frames)
    assert np.abs(near / filtered(frames) - 1).max() > 0.1


def test_what_has_no_weight_may_be_anything():
    def spoiled(batch):
        output = np.full_like(batch, 1e6)
        output[:, 4:-4, 4:-4] = batch[:, 4:-4, 4:-4]
        return output

    frames = np.random.default_rng(5).random((1, 80, 80, 1))
    inner = _run(spoiled, _contract(32, 16), frames)[:, 4:-4, 4:-4]
    np.testing.assert_allclose(inner, frames[:, 4:-4, 4:-4], atol=1e-6)


def _even(batch):
    """Enlarge and blur with zeros outside."""
    fine = ndimage.zoom(batch, (1, 2, 2, 1), order=1, mode="nearest", grid_mode=True)
    return ndimage.gaussian_filter(fine, (0, 2, 2, 0), mode="constant", truncate=4)


def _moody(batch):
    """The same with a gain of 0.8 to 1.2 that changes wildly from tile to tile."""
    chaos = np.sin(1e4 * batch.mean(axis=(1, 2, 3), dtype=float))
    return _even(batch) * (1 + 0.2 * chaos[:, None, None, None])


def _texture(size, seed):
    """Structures a few pixels wide on a dark background, (1, y, x, 1)."""
    noise = np.random.default_rng(seed).normal(size=size)
    smooth = ndimage.gaussian_filter(noise, 3, mode="reflect")
    return np.square(smooth / smooth.std())[None, ..., None].astype(np.float32)


def _seam_energy(image, reference, period):
    """Gradient energy across the lines of a grid, for every place of the grid.

    Energies are those of `image` over those of `reference`, and relative to their
    median.  Of ``period`` numbers the k-th belongs to the steps between columns
    ``k + n * period - 1`` and ``k + n * period``, without the borders of the image.
    """
    energy, usual = (
        np.square(np.diff(one, axis=1)).mean(axis=0) for one in (image, reference)
    )
    relative = (energy / usual)[period - 1 : -period]
    folded = relative.reshape(-1, period).mean(axis=0)
    return folded / np.median(folded)


@pytest.mark.parametrize("turned", [False, True])
def test_no_seams(turned):
    """Seams of a network whose tiles disagree: none when blended, clear otherwise."""
    tile, overlap, count = 64, 32, 13
    length = tile + (count - 1) * (tile - overlap)
    size = (length, 96) if turned else (96, length)
    frames = _texture(size, seed=6 + turned)
    reference = _even(frames)[0, ..., 0]

    def profile(contract, period):
        image = _run(_moody, contract, frames)[0, ..., 0]
        if turned:
            return _seam_energy(image.T, reference.T, period)
        return _seam_energy(image, reference, period)

    period = 2 * (tile - overlap)
    blended = profile(_contract(tile, overlap, scale=2), period)
    # the same tiles, cut in the middle of the overlaps
    middle = profile(_contract(tile, 0, scale=2, halo=overlap // 2), period)
    seam = (2 * tile - overlap) % period
    # and cut at their edges, which zeros outside have darkened
    edge = profile(_contract(tile, 0, scale=2), 2 * tile)
    # anywhere, and so also where tiles begin, meet and end
    assert blended.max() < 1.1
    assert middle.argmax() == seam
    assert middle[seam] > 3
    assert edge.argmax() == 0
    assert edge[0] > 3


def test_small_frame_is_mirrored_and_cut_out():
    frame = np.random.default_rng(7).random((1, 20, 33, 1)).astype(np.float32)

    def blurred(batch):
        return ndimage.gaussian_filter(_enlarged(batch), (0, 1, 1, 0), mode="constant")

    output = _run(blurred, _contract(64, 16, scale=2), frame)
    assert output.shape == (1, 40, 66, 1)
    # mirrored on every side, so that no border is darkened by zeros
    expected = ndimage.gaussian_filter(_enlarged(frame), (0, 1, 1, 0), mode="reflect")
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_statistics_are_those_of_the_frame():
    """Neither padding nor tiles change what a frame is scaled by."""
    steps = ({"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}},)
    for size in ((20, 33), (90, 70)):
        frames = np.random.default_rng(8).normal(100, 30, (2, *size, 1))
        contract = _contract(32, 8, before=steps)
        output = _run(lambda batch: batch, contract, frames)
        mean, deviation = (
            getattr(frames, name)(axis=(1, 2), keepdims=True)
            for name in ("mean", "std")
        )
        np.testing.assert_allclose(output, (frames - mean) / deviation, atol=1e-4)


def test_memory_is_that_of_the_frame():
    """Neither all tiles, nor their outputs, nor an image of weights exist at once."""
    frames = np.random.default_rng(9).random((1, 1024, 1024, 1), dtype=np.float32)
    contract = _contract(128, 32, scale=2)
    plan = make_plan(contract, {"y": 1024, "x": 1024})
    engine = _StandIn(_enlarged)
    tracemalloc.start()
    output = forward(engine, contract, frames, plan=plan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(engine.shapes) > 100
    assert peak < output.nbytes + 2.5 * frames.nbytes


@pytest.fixture(scope="module")
def narrow_dfcan():
    """A small DFCAN of four channels, for 32 px tiles and for any size."""
    import zoo

    tiled, free = (
        zoo.build("dfcan", width=8, groups=1, blocks=1, channels=4, tile=tile)
        for tile in (32, None)
    )
    assert tiled.input_shape == (None, 32, 32, 4)
    rng = np.random.default_rng(10)
    drawn = [
        rng.normal(0, 1 / np.sqrt(np.prod(w.shape[:-1])), w.shape)
        for w in tiled.weights
    ]
    networks = []
    for model in (tiled, free):
        model.set_weights(drawn)
        networks.append(lambda b, model=model: np.asarray(model.predict_on_batch(b)))
    return networks


@pytest.mark.filterwarnings("ignore:::keras", "ignore:::tensorflow")
def test_dfcan(narrow_dfcan):
    network, _ = narrow_dfcan
    one = np.random.default_rng(11).random((2, 32, 32, 4)).astype(np.float32)
    contract = _contract(32, 20, channels=4, scale=2)
    direct = network(one)
    assert direct.shape == (2, 64, 64, 1)
    assert np.ptp(direct) > 0.01
    np.testing.assert_allclose(_run(network, contract, one), direct, atol=1e-6)

    # small: the middle of the mirrored frame, or, as a mirror would turn fringes,
    # of one that goes on as it ends
    small = one[:, :21, :30]
    for source, mode in ((Frames(), "symmetric"), (RawFrames(), "edge")):
        continued = np.pad(small, ((0, 0), (5, 6), (1, 1), (0, 0)), mode=mode)
        expected = network(continued)[:, 10:52, 2:62]
        found = _run(network, contract.override(input=source), small)
        np.testing.assert_allclose(found, expected, atol=1e-6)

    # large and even: flat inside, as five convolutions reach less than a quarter
    def unevenness(contract):
        """Return the largest difference between pixels of the same place on the grid.

        The four that an input pixel turns into differ from each other.
        """
        output = _run(network, contract, np.full((1, 70, 81, 4), 0.5))
        inner = output[0, 10:-10, 10:-10, 0]
        return max(np.ptp(inner[i::2, j::2]) for i in (0, 1) for j in (0, 1))

    assert unevenness(contract) < 1e-5
    assert unevenness(_contract(32, 0, channels=4, scale=2)) > 1e-3


@pytest.mark.filterwarnings("ignore:::keras", "ignore:::tensorflow")
def test_no_seams_of_dfcan(narrow_dfcan):
    """Against the same network on the whole frame."""
    network, free = narrow_dfcan
    tile, overlap, count = 32, 16, 13
    length = tile + (count - 1) * (tile - overlap)
    frames = np.concatenate([_texture((80, length), i) for i in range(4)], -1)
    reference = free(frames)[0, ..., 0]
    blended, hard = (
        _seam_energy(_run(network, contract, frames)[0, ..., 0], reference, 2 * tile)
        for contract in (
            _contract(tile, overlap, channels=4, scale=2),
            _contract(tile, 0, channels=4, scale=2),
        )
    )
    assert blended.max() < 1.05
    assert hard.argmax() == 0
    assert hard[0] > 3
