"""Every recipe learns within its smallest budget."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import gaussian_filter

from zoo import catalog
from zoo.core.random import generator
from zoo.core.recipe import Recipe
from zoo.tasks.density import Density
from zoo.train.run import RECIPE, read_run, train

pytestmark = pytest.mark.slow

RECIPES = catalog.recipes()


def held_out(recipe: Recipe, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of the last stage's size that no training draws."""
    last = recipe.override(**recipe.budgets["smoke"].stages[-1].changes)
    pairs = [last.source.sample(generator(recipe.seed + 1, i)) for i in range(count)]
    return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])


def predicted(model: keras.Model, frames: np.ndarray) -> np.ndarray:
    """Return predictions with the statistics of the batch.

    Moving averages with a momentum of 0.99 have seen too few batches by then.
    """
    return np.asarray(ops.convert_to_numpy(model(frames, training=True)))


def agreement(recipe: Recipe, prediction: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean correlation of predicted and true images.

    Spikes are blurred first, by half a camera pixel: near misses count.  Unlike the
    loss, this cannot be had by answering nothing.
    """
    grid = recipe.contract.grid
    is_density = isinstance(recipe.contract.task, Density)
    blurs = [
        grid.scale(letter) / 2 if is_density and letter in grid.axes else 0
        for letter in grid.output_axes.replace("b", "")
    ]
    correlations = []
    for output, target in zip(prediction, targets, strict=True):
        if target.std() == 0:
            continue
        one, two = (gaussian_filter(a, blurs) for a in (output, target))
        correlations.append(np.corrcoef(one.ravel(), two.ravel())[0, 1])
    return float(np.mean(correlations))


def mean_loss(recipe: Recipe, prediction: np.ndarray, targets: np.ndarray) -> float:
    loss = recipe.objective.loss(targets, prediction)
    return float(np.asarray(ops.convert_to_numpy(loss)).mean())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_smoke_budget_learns(recipe, tmp_path):
    frames, targets = held_out(recipe, 32)
    keras.utils.set_random_seed(recipe.seed)
    # of the size that training sees, which a package's fixed tile is not
    network = recipe.network.build(**recipe.options | recipe.training_options)
    before = predicted(network, frames)
    path = train(recipe, budget="smoke", run_folder=tmp_path / "run")
    final = keras.saving.load_model(path, compile=False)
    network.set_weights(final.get_weights())
    after = predicted(network, frames)
    assert np.isfinite(after).all()
    loss = [mean_loss(recipe, answer, targets) for answer in (before, after)]
    assert loss[1] < 0.9 * loss[0]
    agrees = [agreement(recipe, answer, targets) for answer in (before, after)]
    assert agrees[1] > max(0.5, agrees[0] + 0.1)
    assert read_run(tmp_path / "run")["finished"]
    assert (tmp_path / "run" / RECIPE).is_file()
