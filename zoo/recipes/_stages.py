"""Stages that trainings with a critic share."""

from zoo.core.recipe import Stage

WITHOUT_CRITIC = {"objective__warm_up": True}
"""First stage: the generator alone."""


def critic_stages(
    epochs: tuple[int, int, int], *, steps: int, batch: int, crop_px: int, fewer: int
) -> tuple[Stage, ...]:
    """Return the stages of a training: without critic, with it, and on larger images.

    Parameters
    ----------
    epochs
        Epochs of the three; a stage of none is left out.
    steps, batch
        Batches per epoch, and samples in each.
    crop_px
        Edge of the images of the first two, px of the source.
    fewer
        What `steps` and `batch` of the last stage are divided by.
    """
    small = {"source__crop_px": crop_px}
    stages = (
        Stage(
            epochs=epochs[0],
            steps=steps,
            batch_size=batch,
            changes=small | WITHOUT_CRITIC,
        ),
        Stage(epochs=epochs[1], steps=steps, batch_size=batch, changes=small),
        Stage(
            epochs=epochs[2],
            steps=steps // fewer,
            batch_size=max(batch // fewer, 1),
        ),
    )
    return tuple(stage for stage in stages if stage.epochs)
