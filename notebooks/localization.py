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

# %% shared: install

# %% shared: folder

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

# %% shared: train

# %% shared: quality_control name=my_deep_storm

# %% [markdown]
# # **6. Predict**

# %%
# @title ## 6.1 Localize and look
import zoo

use_own = True  # @param {type:"boolean"}
model = zoo.load(place / "packages" / name if use_own else package)
result = model.predict(source)
result

# %%
# @title ## 6.2 The table
result.to_pandas().head(10)

# %% shared: save number=6.3

# %% shared: export

# %%
# @title ## 7.2 The published network for ZeroCostDL4Mic's own Deep-STORM notebook
folder = place / "zerocostdl4mic"
notebook.command(
    "convert", "deep_storm_microtubules", "--to", "zerocostdl4mic", "-o", folder
)

# %% shared: cite number=7.3
