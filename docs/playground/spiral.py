"""A live spiral with sliders: `marimo run docs/playground/spiral.py`."""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    from maps import LIMIT, SPEC, live, maps

    return LIMIT, SPEC, live, maps, mo, plt


@app.cell
def _(mo):
    mo.md(
        "# A live spiral\n\n32 networks of 50 tanh units on two-turn spirals. Move the sliders: the run goes on"
        " from where it is, at what they say. At temperature 0.005 it samples the Bayes posterior."
    )
    return


@app.cell
def _(SPEC, mo):
    _start = SPEC["method"]
    stepsize = mo.ui.slider(steps=[0.02, 0.05, 0.1, 0.2, 0.3, 0.6], value=_start["stepsize"], label="h, stepsize")
    temperature = mo.ui.slider(
        steps=[0.0005, 0.001, 0.005, 0.01, 0.05], value=_start["temperature"], label="tau, temperature"
    )
    friction = mo.ui.slider(steps=[0.03, 0.1, 0.3, 1.0, 3.0], value=_start["friction"], label="gamma, friction")
    refresh = mo.ui.refresh(options=["1s", "3s"], default_interval="3s")
    mo.vstack([stepsize, temperature, friction, refresh])
    return friction, refresh, stepsize, temperature


@app.cell
def _(live):
    run = live()
    return (run,)


@app.cell
def _(LIMIT, friction, maps, plt, refresh, run, stepsize, temperature):
    refresh  # noqa: B018  (run again whenever it ticks)
    run.change(stepsize=stepsize.value, temperature=temperature.value, friction=friction.value)
    mean, information, last = maps(run, 1000, 60)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    extent = (-LIMIT, LIMIT, -LIMIT, LIMIT)
    axes[0].imshow(mean, origin="lower", extent=extent, cmap="RdBu", vmin=0, vmax=1)
    axes[0].set_title("mean prediction")
    axes[1].imshow(information, origin="lower", extent=extent, vmin=0, vmax=0.69)
    axes[1].set_title("mutual information, nats")
    figure.suptitle(f"step {last.step:,}: test accuracy {last.statistics['test_accuracy'].mean():.3f}")
    figure  # noqa: B018  (shown)
    return


if __name__ == "__main__":
    app.run()
