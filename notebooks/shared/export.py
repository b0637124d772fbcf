"""What is taken away."""

# %% [markdown]
# # **7. Export and cite**
#
# The bioimage.io zip runs in Fiji (deepImageJ) and bioimageio.core.

# %%
# @title ## 7.1 Export
notebook.hand_over([place / "packages" / f"{name}.zip"])
