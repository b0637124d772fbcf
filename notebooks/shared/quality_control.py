"""Loss, samples and the package of a training."""

# %% [markdown]
# # **5. Quality control**

# %%
# @title ## 5.1 Loss, and held-out samples
notebook.loss_and_samples(run)

# %%
# @title ## 5.2 Package it: verified, and scored on the frozen test set
name = "$name"  # @param {type:"string"}
author = "Not stated"  # @param {type:"string"}
own = ["--name", name, "--author", author, "--overwrite"]
notebook.command("package", run, "-o", place / "packages", own)
notebook.command("show", place / "packages" / name)
