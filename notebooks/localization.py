"""Deep-STORM: dense single-molecule localization.

Localizes overlapping emitters in two dimensions and, if the published network does not
fit your microscope, retrains it on simulated frames that look like yours.
"""

# %% [markdown]
# # Deep-STORM: dense single-molecule localization
#
# Network of Nehme et al., *Optica* 5, 458 (2018), [doi:10.1364/OPTICA.5.000458](https://doi.org/10.1364/OPTICA.5.000458),
# as packaged by the superres-zoo. Run the cells from top to bottom; sections 3 to 5 only
# if the check of section 2 says that a network of your own is needed.
#
# # **0. Before getting started**
#
# You need a movie of blinking emitters (TIFF, one channel) and the size of a camera pixel.
# Training needs no measured data: frames are simulated under conditions that you state.
# Without a movie of yours the notebook simulates one.

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
work_folder = "superres-zoo-localization"  # @param {type:"string"}
on_drive = False  # @param {type:"boolean"}
place = notebook.folder(work_folder, on_drive=on_drive)

# %%
# @title ## 2.2 The movie
package = "deep_storm_fast_microtubules"  # @param ["deep_storm_fast_microtubules", "deep_storm_microtubules"]
recording = ""  # @param {type:"string"}
frames = 100  # @param {type:"integer"}
source = notebook.recording(recording, package, place, frames=frames)

# %%
# @title ## 2.3 Does the published package fit?
notebook.command("check", source, "--for", package)

# %% [markdown]
# # **3. Training conditions**
#
# What the network is going to see stands below your own frames: change the settings until
# the two rows look alike. `zoo check` above ends with settings to start from.

# %%
# @title ## 3.1 Your frames and simulated ones
changes = "source.psf_sigma_nm=[95,170]"  # @param {type:"string"}
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
name = "my_deep_storm"  # @param {type:"string"}
author = "Not stated"  # @param {type:"string"}
own = ["--name", name, "--author", author, "--overwrite"]
notebook.command("package", run, "-o", place / "packages", own)
notebook.command("show", place / "packages" / name)

# %% [markdown]
# # **6. Predict**

# %%
# @title ## 6.1 Localize and look
use_own = True  # @param {type:"boolean"}
model = zoo.load(place / "packages" / name if use_own else package)
result = model.predict(source)
result

# %%
# @title ## 6.2 The table
result.to_pandas().head(10)

# %%
# @title ## 6.3 Save
results = result.save(place / "result", overwrite=True)
notebook.hand_over(sorted(results.iterdir()))

# %% [markdown]
# # **7. Export and cite**
#
# The bioimage.io zip runs in Fiji (deepImageJ) and bioimageio.core, the folder in
# ZeroCostDL4Mic's own Deep-STORM notebook as a pretrained model.

# %%
# @title ## 7.1 Export
notebook.hand_over([place / "packages" / f"{name}.zip"])
folder = place / "zerocostdl4mic"
notebook.command(
    "convert", "deep_storm_microtubules", "--to", "zerocostdl4mic", "-o", folder
)

# %%
# @title ## 7.2 Cite
notebook.command("show", package)
