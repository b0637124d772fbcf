"""Installation and hardware, of notebooks that train."""

# %% [markdown]
# # **1. Install and check the hardware**

# %%
# @title ## 1.1 Install superres-zoo
# !pip install -q "superres-zoo[train,package]" pandas

# %%
# @title ## 1.2 Is there a graphics card?
from zoo import notebook

print(notebook.hardware())
