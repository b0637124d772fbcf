"""Networks and recipes are found in the folders; names are unique."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from zoo import catalog
from zoo.core.errors import BadInput
from zoo.core.network import Network
from zoo.core.papers import NEHME_2018


def example(name: str) -> Network:
    return Network(name=name, paper=NEHME_2018, build=dict, parameters=len(name))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a package to put modules into."""
    package = ModuleType("some_models")
    package.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "some_models", package)
    yield package
    for name in [n for n in sys.modules if n.startswith("some_models.")]:
        del sys.modules[name]


def module(folder: ModuleType, name: str, text: str) -> None:
    path = Path(folder.__path__[0]) / f"{name}.py"
    head = f"from {__name__.rpartition('.')[2]} import example\n"
    path.write_text(head + text, encoding="utf-8")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def test_every_declaration_is_listed_by_its_own_name(folder):
    module(folder, "one", "B = example('beta')\nA = example('alpha')\n")
    module(folder, "two", "from some_models.one import A\nC = example('gamma')\n")
    module(folder, "_private", "D = example('delta')\n")
    found = catalog.collect(folder, Network)
    assert list(found) == ["alpha", "beta", "gamma"]
    assert found["gamma"].parameters == 5


def test_two_declarations_of_one_name_are_refused(folder):
    module(folder, "one", "A = example('alpha')\n")
    module(folder, "two", "A = example('alpha')\n")
    with pytest.raises(
        catalog.DuplicateName, match=r"some_models\.one and in some_mod"
    ):
        catalog.collect(folder, Network)


def test_modules_without_declarations_are_fine(folder):
    module(folder, "one", "x = 1\n")
    assert catalog.collect(folder, Network) == {}


def test_the_first_network_and_its_recipe_are_there():
    assert "deep_storm" in catalog.networks()
    recipe = catalog.recipe("deep_storm_microtubules")
    assert recipe.network is catalog.network("deep_storm")


@pytest.mark.parametrize("find", [catalog.network, catalog.recipe])
def test_unknown_names_list_what_resembles_them(find):
    with pytest.raises(catalog.UnknownName, match="did you mean deep_storm"):
        find("deep_strom_microtubules" if find is catalog.recipe else "deep_strom")
    with pytest.raises(catalog.UnknownName, match=r"there are .*deep_storm"):
        find("qqq")


def test_settings_change_a_recipe_and_unknown_fields_do_not():
    recipe = catalog.configured(
        "deep_storm_microtubules", {"source__pixel_size_nm": 110.0}
    )
    assert recipe.source.pixel_size_nm == 110.0
    assert catalog.recipe("deep_storm_microtubules").source.pixel_size_nm == 100.0
    with pytest.raises(ValueError, match="has no field"):
        catalog.configured("deep_storm_microtubules", {"source__colour": 1})


def test_data_replaces_the_simulation(tmp_path):
    recipe = catalog.configured("deep_storm_microtubules", {}, data=tmp_path)
    assert recipe.source.model_dump()["folder"] == tmp_path
    with pytest.raises(BadInput, match=r"has no input\.tif"):
        recipe.source.sample(np.random.default_rng(0))
