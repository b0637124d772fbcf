"""Super-resolution with a published package.

Runs any package of the superres-zoo on a recording of yours: look at the recording,
predict, judge the result, take tables and images away.  Nothing is trained.
"""

# %% [markdown]
# # Super-resolution with a published package
#
# Give a recording, choose a package, run the cells from top to bottom. No graphics card
# is needed. Cells are forms: the code is folded away behind a double click.
#
# # **0. Before getting started**
#
# The package must fit the recording: `zoo list` names them all, their cards say what they
# are for and *not* for. Readable are TIFF, OME-TIFF, ImageJ hyperstacks, `.npy`, folders
# of TIFFs, and with extras OME-Zarr and MRC. Without a file of yours the notebook
# simulates one.

# %% [markdown]
# # **1. Install**

# %%
# @title ## 1.1 Install superres-zoo
# !pip install -q "superres-zoo[train]" pandas

# %%
# @title ## 1.2 Which packages are there?
import zoo
from zoo import notebook

notebook.command("list")

# %% shared: folder

# %%
# @title ## 2.2 Package and recording
package = "deep_storm_fast_microtubules"  # @param {type:"string"}
recording = ""  # @param {type:"string"}
pixel_size_nm = 0.0  # @param {type:"number"}
frames = 40  # @param {type:"integer"}
source = notebook.recording(recording, package, place, frames=frames)
pixel = ["--pixel-size-nm", pixel_size_nm] if pixel_size_nm else []

# %% [markdown]
# # **3. Look at the recording before trusting it**
#
# Spots, density, light and sampling (or the illumination pattern) are measured and held
# against what the package was trained on. What is *outside* makes results worse without
# making them look worse.

# %%
# @title ## 3.1 Check
notebook.command("check", source, "--for", package, pixel)

# %% [markdown]
# # **6. Predict**

# %%
# @title ## 6.1 Predict and look
model = zoo.load(package)
result = model.predict(source, pixel_size_nm=pixel_size_nm or None)
result

# %% shared: save number=6.2

# %% [markdown]
# # **7. Cite**

# %% shared: cite number=7.1
