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
work_folder = "superres-zoo-single-emitters"  # @param {type:"string"}
on_drive = False  # @param {type:"boolean"}
place = notebook.folder(work_folder, on_drive=on_drive)

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
# The step is positive if the focal plane goes into the sample.

# %%
# @title ## 3.1 Optics from beads, or from another program's calibration
beads = ""  # @param {type:"string"}
options = "--na 1.45 --wavelength-nm 670 --z-step-nm 50"  # @param {type:"string"}
optics = place / "optics.json"
if beads:
    notebook.command("calibrate", beads, "-o", optics, "--overwrite", options.split())
changes = f"source.optics={optics}" if beads else ""

# %% [markdown]
# # **4. Train**
#
# With optics of yours the training goes on from the published weights for at most half an
# hour. Without, this trains the published network anew.

# %%
# @title ## 4.1 Train
budget = "gpu"  # @param ["smoke", "cpu", "gpu"]
run = place / "run"
chosen = [*notebook.settings(changes), "--budget", budget]
notebook.command("train", package, "-o", run, chosen)

# %% [markdown]
# # **5. Quality control**

# %%
# @title ## 5.1 Loss, and held-out samples
notebook.loss_and_samples(run)

# %%
# @title ## 5.2 Package it: verified, and scored on the frozen test set
name = "my_single_emitters"  # @param {type:"string"}
author = "Not stated"  # @param {type:"string"}
own = ["--name", name, "--author", author, "--overwrite"]
notebook.command("package", run, "-o", place / "packages", own)
notebook.command("show", place / "packages" / name)

# %% [markdown]
# # **6. Predict**

# %%
# @title ## 6.1 Predict and look
use_own = True  # @param {type:"boolean"}
camera = {"offset_adu": offset_adu, "photons_per_adu": photons_per_adu}
model = zoo.load(place / "packages" / name if use_own else package, **camera)
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

# %%
# @title ## 7.1 Export
notebook.hand_over([place / "packages" / f"{name}.zip"])

# %%
# @title ## 7.2 Cite
notebook.command("show", package)
