"""The card of a package that was trained on own pairs says so."""

from importlib import import_module

from zoo.package import own_card
from zoo.package.own import Own
from zoo.package.trained import Trained
from zoo.train.fine_tuning import for_own_pairs

COMPARISON = {
    "images": 2,
    "before": {"psnr": 21.704, "ssim": 0.6, "nrmse": 0.5},
    "after": {"psnr": 24.5, "ssim": 0.71, "nrmse": 0.4},
    "better": 2,
}


def test_the_card_names_pairs_and_comparison(toy_recipes, tmp_path):
    assert toy_recipes.is_dir()
    recipe = for_own_pairs(import_module("zoo.recipes.tiny").TINY_IMAGE)
    run = {"budget": "cpu", "start": "x/weights.keras", "comparison": COMPARISON}
    own = Own(name="mine", title="My microscope")
    trained = Trained(tmp_path, recipe, run, {}, packaged=False, own=own)
    blocks = own_card.blocks(trained)
    assert (
        "with the recipe of that package on own pairs of images." in blocks["purpose"]
    )
    assert "registered by phase correlation" in blocks["data"]
    assert "PSNR went from 21.70 to 24.50 dB" in blocks["limits"]
    assert "--data PAIRS --start WEIGHTS" in own_card.repeat(trained)
