"""Training of the chosen package's recipe."""

# %% [markdown]
# # **4. Train**
#
# Budgets: `smoke` (a minute, to try), `cpu` (up to two hours), `gpu` (minutes). An
# interrupted training goes on with `zoo train --resume`.

# %%
# @title ## 4.1 Train
budget = "gpu"  # @param ["smoke", "cpu", "gpu"]
run = place / "run"
chosen = [*notebook.settings(changes), "--budget", budget]
notebook.command("train", package, "-o", run, chosen)
