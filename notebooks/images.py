"""DFCAN: super-resolved images from widefield or raw SIM frames.

Turns single images or nine raw frames of structured illumination into images on a grid
twice as fine and, if the published network does not fit your microscope, retrains it.
"""

# %% [markdown]
# # DFCAN: super-resolved images
#
# Network of Qiao et al., *Nature Methods* 18, 194 (2021), [doi:10.1038/s41592-020-01048-5](https://doi.org/10.1038/s41592-020-01048-5),
# as packaged by the superres-zoo. Run the cells from top to bottom; sections 3 to 5 only
# if the check of section 2 says that a network of your own is needed.
#
# # **0. Before getting started**
#
# `dfcan_sim` takes raw frames of structured illumination, `dfcan_widefield` single images.
# Detail that the microscope did not transmit is learnt expectation: the error map shows
# where an image contradicts its input, not whether the detail is true. Without a file of
# yours the notebook simulates one.

# %% [markdown]
# # **1. Install and check the hardware**

# %%
# @title ## 1.1 Install superres-zoo
# !pip install -q "superres-zoo[train,package]" pandas

# %%
# @title ## 1.2 Is there a graphics card?
import zoo
from zoo import notebook

print(notebook.hardware())

# %% [markdown]
# # **2. Your data**

# %%
# @title ## 2.1 Where to keep files
work_folder = "superres-zoo-images"  # @param {type:"string"}
on_drive = False  # @param {type:"boolean"}
place = notebook.folder(work_folder, on_drive=on_drive)

# %%
# @title ## 2.2 The recording
package = "dfcan_widefield"  # @param ["dfcan_sim", "dfcan_widefield"]
recording = ""  # @param {type:"string"}
images = 2  # @param {type:"integer"}
source = notebook.recording(recording, package, place, frames=images)

# %%
# @title ## 2.3 Does the published package fit?
notebook.command("check", source, "--for", package)

# %% [markdown]
# # **3. Training conditions**
#
# What the network is going to see stands below your own images: change the settings until
# the two rows look alike.

# %%
# @title ## 3.1 Your images and simulated ones
changes = ""  # @param {type:"string"}
notebook.beside(package, changes, source, place)

# %% [markdown]
# # **4. Train**
#
# Budgets: `smoke` (a minute, to try), `cpu` (up to two hours), `gpu` (minutes). An
# interrupted training goes on with `zoo train --resume`.

# %%
# @title ## 4.1 Train
budget = "gpu"  # @param ["smoke", "cpu", "gpu"]
run = place / "run"
options = [*notebook.settings(changes), "--budget", budget]
notebook.command("train", package, "-o", run, options)

# %% [markdown]
# # **5. Quality control**

# %%
# @title ## 5.1 Loss, and held-out samples
notebook.loss_and_samples(run)

# %%
# @title ## 5.2 Package it: verified, and scored on the frozen test set
name = "my_dfcan"  # @param {type:"string"}
author = "Not stated"  # @param {type:"string"}
own = ["--name", name, "--author", author, "--overwrite"]
notebook.command("package", run, "-o", place / "packages", own)
notebook.command("show", place / "packages" / name)

# %% [markdown]
# # **6. Predict**

# %%
# @title ## 6.1 Predict and look
use_own = True  # @param {type:"boolean"}
model = zoo.load(place / "packages" / name if use_own else package)
result = model.predict(source)
result

# %%
# @title ## 6.2 Save
results = result.save(place / "result", overwrite=True)
notebook.hand_over(sorted(results.iterdir()))

# %% [markdown]
# # **7. Export and cite**
#
# The bioimage.io zip runs in Fiji (deepImageJ) and bioimageio.core.

# %%
# @title ## 7.1 Export
notebook.hand_over([place / "packages" / f"{name}.zip"])

# %%
# @title ## 7.2 Cite
notebook.command("show", package)
