"""What is to be cited."""

# %%
# @title ## $number Cite
notebook.command("show", package)
