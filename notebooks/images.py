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

# %% shared: install

# %% shared: folder

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

# %% shared: train

# %% shared: quality_control name=my_dfcan

# %% [markdown]
# # **6. Predict**

# %%
# @title ## 6.1 Predict and look
import zoo

use_own = True  # @param {type:"boolean"}
model = zoo.load(place / "packages" / name if use_own else package)
result = model.predict(source)
result

# %% shared: save number=6.2

# %% shared: export

# %% shared: cite number=7.2
