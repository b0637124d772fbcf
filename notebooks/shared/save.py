"""Saving a result."""

# %%
# @title ## $number Save
results = result.save(place / "result", overwrite=True)
notebook.hand_over(sorted(results.iterdir()))
