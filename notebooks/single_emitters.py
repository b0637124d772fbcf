"""smNet and VGG16: single emitters in three dimensions.

Estimates x, y and z of single emitters in movies with astigmatic or other engineered
spots, with a network retrained for the optics that your beads show.
"""

# %% [markdown]
# # Single emitters in three dimensions
#
# Networks of Zhang et al., *Nature Methods* 15, 913 (2018), [doi:10.1038/s41592-018-0153-5](https://doi.org/10.1038/s41592-018-0153-5),
# and Zelger et al., *Optics Express* 26, 33166 (2018), [doi:10.1364/OE.26.033166](https://doi.org/10.1364/OE.26.033166),
# as packaged by the superres-zoo. Their spots are those of your microscope only after a
# calibration with beads (section 3) and a training (section 4).
#
# # **0. Before getting started**
#
# You need a movie, offset and photons per count of the camera, and a stack of beads on the
# coverslip or the calibration that SMAP, Picasso or uiPSF made of one. Without a movie of
# yours the notebook simulates regions of single emitters.

# %% shared: install

# %% shared: folder

# %%
# @title ## 2.2 The movie and the camera
package = "smnet_astigmatism"  # @param ["smnet_astigmatism", "smnet_complex", "zelger_vgg16_astigmatism"]
recording = ""  # @param {type:"string"}
offset_adu = 0.0  # @param {type:"number"}
photons_per_adu = 1.0  # @param {type:"number"}
source = notebook.recording(recording, package, place, frames=100)

# %% [markdown]
# # **3. Calibration**
#
# The step is positive if the focal plane goes into the sample. With optics of yours the
# training of section 4 goes on from the published weights for at most half an hour;
# without, it trains the published network anew.

# %%
# @title ## 3.1 Optics from beads, or from another program's calibration
beads = ""  # @param {type:"string"}
options = "--na 1.45 --wavelength-nm 670 --z-step-nm 50"  # @param {type:"string"}
optics = place / "optics.json"
if beads:
    notebook.command("calibrate", beads, "-o", optics, "--overwrite", options.split())
changes = f"source.optics={optics}" if beads else ""

# %% shared: train

# %% shared: quality_control name=my_single_emitters

# %% [markdown]
# # **6. Predict**

# %%
# @title ## 6.1 Predict and look
import zoo

use_own = True  # @param {type:"boolean"}
camera = {"offset_adu": offset_adu, "photons_per_adu": photons_per_adu}
model = zoo.load(place / "packages" / name if use_own else package, **camera)
result = model.predict(source)
result

# %%
# @title ## 6.2 The table
result.to_pandas().head(10)

# %% shared: save number=6.3

# %% shared: export

# %% shared: cite number=7.2
