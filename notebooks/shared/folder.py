"""Where files of a notebook are kept."""

# %% [markdown]
# # **2. Your data**

# %%
# @title ## 2.1 Where to keep files
work_folder = "superres-zoo-$notebook"  # @param {type:"string"}
on_drive = False  # @param {type:"boolean"}
place = notebook.folder(work_folder, on_drive=on_drive)
