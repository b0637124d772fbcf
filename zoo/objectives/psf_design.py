"""Designing a phase mask together with a network, then training on images made with it.

Nehme, Freedman, Gordon et al. 2020 (doi:10.1038/s41592-020-0853-5).
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from pydantic import Field, SerializeAsAny

from zoo.core.network import Network
from zoo.core.optimizers import Adam, Optimizer
from zoo.core.recipe import Batches, Budget, Loop, Loss, Objective, Pair, Recipe
from zoo.objectives import _optimizers
from zoo.objectives._networks import (
    compile_for,
    fit_epoch,
    let_train,
    packaged_network,
    stages_where,
    trained_network,
)

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops
Phase = Literal["bound", "mask", "network"]


class PsfDesign(Objective):
    """A mask that is learnt with a decoder first, a network for its images then.

    The source gives what is in the sample, and the target; `optics` makes images of it,
    in which noise is drawn by its layers.  Stages that design change
    ``objective__phase`` to ``bound``, in which the mask descends the Cramér-Rao bound
    that it sets to isolated emitters, without any decoder, or to ``mask``, in which
    mask and decoder learn together from crowded frames.  In all other stages the mask
    is fixed, and only the recipe's network learns.  Without a stage that designs, the
    frames are those of the source's own optics.

    The bound has many shallow minima near a flat pupil.  Steps of 0.01 rad, which a
    decoder can follow, end in one of them; those of the phase ``bound`` are large
    enough to pass over.
    """

    kind: Literal["psf_design"] = "psf_design"
    """Type of the objective."""
    loss: SerializeAsAny[Loss]
    """What is minimised in both phases."""
    optics: Network
    """Sample to images, with the mask among its weights."""
    optics_options: dict[str, Any] = {}
    """Arguments of the builder of the optics; a source with a method ``imaging`` adds
    microscope and size of the frames, one with ``training_options`` arguments of
    network and decoder."""
    mask: str = "mask"
    """Name of the weight that is the mask, and of the file that it becomes."""
    decoder: Network | None = None
    """Network that the mask is designed with; that of the recipe if left out, which
    then goes on from there."""
    decoder_options: dict[str, Any] = {}
    """Arguments of the builder of the decoder."""
    optimizer: SerializeAsAny[Optimizer] = Adam()
    """What moves the weights of the recipe's network when the mask is fixed."""
    mask_optimizer: SerializeAsAny[Optimizer] = Adam()
    """What moves mask and decoder before."""
    bound_optimizer: SerializeAsAny[Optimizer] = Adam(learning_rate=0.02)
    """What moves the mask where the bound alone counts."""
    bound_power: float = Field(default=1.0, ge=1)
    """Power whose mean over depths is taken of the bounds: a mask of the least mean may
    buy it with poor depths, which larger powers weigh more."""
    phase: Phase = "network"
    """What is learnt."""

    def start(self, recipe: Recipe, budget: Budget, *, dtype: str) -> Loop:
        """Build optics, decoder, network and their optimisers."""
        return PsfDesignLoop(self, recipe, budget, dtype=dtype)

    def conclude(self, recipe: Recipe, folder: Path) -> Recipe:
        """Return a recipe whose source images with the mask that a run designed."""
        with_mask: Any = getattr(recipe.source, "with_mask", None)
        if with_mask is None or self.optics_options.get("start") != "clear":
            return recipe
        path = folder / f"{self.mask}.npy"
        if not path.is_file():
            return recipe
        mask = np.load(path, allow_pickle=False)
        return recipe.override(source=with_mask(mask))

    def mask_rad(self, checkpoint: Mapping[str, Any]) -> np.ndarray:
        """Return the mask of a checkpoint, coefficients of its modes in rad.

        Parameters
        ----------
        checkpoint
            Variables by their paths, as `PsfDesignLoop.variables` names them.
        """
        (name,) = (
            path
            for path in checkpoint
            if path.startswith("optics/") and path.endswith(f"/{self.mask}")
        )
        built = inspect.signature(self.optics.build).parameters
        default = built["step_rad"].default if "step_rad" in built else 1.0
        step_rad = self.optics_options.get("step_rad", default)
        return step_rad * np.asarray(checkpoint[name])


class PsfDesignLoop:
    """A design under way.

    Parameters
    ----------
    objective
        Networks and optimisers; stages change phase and loss.
    recipe, budget, dtype
        As for `Objective.start`.
    """

    def __init__(
        self, objective: PsfDesign, recipe: Recipe, budget: Budget, *, dtype: str
    ) -> None:
        self.objective = objective
        self.recipe = recipe
        first = recipe.override(**budget.stages[0].changes)
        self.imaging = _imaging(first)
        self.network: Any = trained_network(first, dtype=dtype)
        self.optics: Any = objective.optics.build(
            **self.imaging, **objective.optics_options
        )
        self.decoder: Any = self.network
        if objective.decoder is not None:
            self.decoder = objective.decoder.build(
                **objective.decoder_options,
                **first.source.training_options(),
                dtype=dtype,
            )
        masks = [v for v in self.optics.variables if v.name == objective.mask]
        if len(masks) != 1:
            names = ", ".join(v.name for v in self.optics.variables)
            raise ValueError(
                f"the optics need one weight called {objective.mask}, not {names}"
            )
        self.mask: Any = masks[0]
        self.staged: tuple[Phase, Loss, float] | None = None
        sample = self.optics.input
        self.models: dict[str, Any] = {
            "mask": keras.Model(sample, self.decoder(self.optics(sample))),
            "network": keras.Model(sample, self.network(self.optics(sample))),
            "bound": keras.Model(sample, self.optics(sample)),
        }
        self.optical = list(self.optics.trainable_variables)
        learnt: dict[str, list[Any]] = {
            "bound": self.optical,
            "mask": [*self.optical, *self.decoder.trainable_variables],
            "network": list(self.network.trainable_variables),
        }
        declared = {
            "bound": objective.bound_optimizer,
            "mask": objective.mask_optimizer,
            "network": objective.optimizer,
        }
        self.optimizers: dict[str, _optimizers.Optimizer] = {}
        for phase, optimizer in declared.items():
            stages = stages_where(recipe, budget, lambda o, p=phase: o.phase == p)
            built = _optimizers.Optimizer(optimizer, stages, name=f"adam_{phase}")
            built.build(learnt[phase])
            self.optimizers[phase] = built
        self.phase: Phase = objective.phase

    def variables(self) -> dict[str, Any]:
        """Return the variables of all networks and optimisers."""
        found = _optimizers.named("optics", self.optics.variables)
        found |= _optimizers.named("network", self.network.variables)
        if self.decoder is not self.network:
            found |= _optimizers.named("decoder", self.decoder.variables)
        for optimizer in self.optimizers.values():
            found |= optimizer.variables()
        return found

    def stage(self, recipe: Recipe) -> None:
        """Go on in the phase and with the loss of another stage."""
        staged = recipe.objective
        if not isinstance(staged, PsfDesign):
            raise ValueError(f"a stage cannot become {staged.kind}")
        self.phase = staged.phase
        if _imaging(recipe) != self.imaging:
            raise ValueError(
                "optics and sizes of the source must be the same in all stages: the "
                "frames of all are made by one microscope"
            )
        if self.staged == (staged.phase, staged.loss, staged.bound_power):
            return
        self.staged = (staged.phase, staged.loss, staged.bound_power)
        if staged.phase == "bound" and not any(x.bound_weight for x in self._designed):
            raise ValueError(
                "the phase 'bound' needs optics with a bound_weight above zero"
            )
        for layer in self._designed:
            layer.designing = staged.phase != "network"
            layer.bound_power = staged.bound_power
        loss: Any = staged.loss
        compile_for(
            self.models[self.phase],
            self.optimizers[self.phase].keras,
            # of the phase "bound", all loss is the optics' own
            None
            if staged.phase == "bound"
            else lambda target, prediction: loss(target, prediction),
        )

    def epoch(self, batches: Batches, held_out: Pair | None) -> dict[str, float]:
        """Train on every batch; return the mean loss and that of held-out samples.

        While a mask is designed, also the mean Cramér-Rao bound that it sets.
        """
        designs = self.phase != "network"
        let_train(self.optical, trainable=designs)
        figures = fit_epoch(
            self.models[self.phase],
            self.optimizers[self.phase],
            batches,
            held_out=None if self.phase == "bound" else held_out,
            loss=self.objective.loss,
        )
        for layer in self._designed if designs else ():
            bound = ops.convert_to_numpy(layer.mean_bound_nm())
            figures["bound_nm"] = float(bound)
        return figures

    def skip(self, batches: int) -> None:
        """Let the learning rate of the phase fall as if it had seen further batches."""
        self.optimizers[self.phase].skip(batches)

    def results(self) -> dict[str, Any]:
        """Return the network as it is packaged, and the mask.

        The mask as its weight is; of optics whose mask is a sum of modes, the
        coefficients in rad.
        """
        mask = np.array(ops.convert_to_numpy(self.mask))
        for layer in self._designed:
            mask = layer.step_rad * mask
        return {
            "weights": packaged_network(self.recipe, self.network),
            self.objective.mask: mask,
        }

    @property
    def _designed(self) -> list[Any]:
        """Layers whose mask is a sum of modes, and that know the bound it sets."""
        return [layer for layer in self.optics.layers if hasattr(layer, "mask_rad")]


def _imaging(recipe: Recipe) -> dict[str, Any]:
    """Return arguments that a source gives to the optics, none if it does not."""
    arguments: Any = getattr(recipe.source, "imaging", None)
    return {} if arguments is None else arguments()
