"""Weights of other libraries' networks by our names."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor

from gpu_thermo.errors import SpecError
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.weights import weights_from_sklearn, weights_from_torch

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 3))


def forward(weights, x, act):
    """Of any depth."""
    layers = len(weights) // 2
    for i in range(1, layers + 1):
        x = x @ weights[f"w{i}"].T + weights[f"b{i}"]
        x = x if i == layers else act(x)
    return x


@pytest.mark.parametrize("hidden", [(5,), (4, 6, 3)])
def test_an_mlp_of_scikit_learn(hidden):
    y = np.stack([X[:, 0] ** 2, X[:, 1]], axis=1)
    trained = MLPRegressor(hidden_layer_sizes=hidden, activation="tanh", solver="lbfgs", max_iter=20, tol=1e3).fit(X, y)
    weights = weights_from_sklearn(trained)
    np.testing.assert_allclose(forward(weights, X, np.tanh), trained.predict(X), rtol=1e-12)
    assert list(weights)[-2:] == [f"w{len(hidden) + 1}", f"b{len(hidden) + 1}"]


def test_of_one_hidden_layer_they_are_our_network():
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    trained = [MLPClassifier((5,), solver="lbfgs", max_iter=9, tol=1e3, random_state=s).fit(X, y) for s in range(3)]
    weights = weights_from_sklearn(trained)
    model = MlpModel(3, 5, 3, "multiclass")
    position = model.layout.join(weights)
    assert position.shape == (3, model.parameters)
    for r, one in enumerate(trained):
        np.testing.assert_allclose(model.predict(position, X)[r], one.predict_proba(X), rtol=1e-9)


def test_what_is_no_fitted_mlp_is_refused():
    for other in (MLPClassifier(), LinearRegression().fit(X, X[:, 0]), 3):
        with pytest.raises(SpecError, match="is no fitted MLPClassifier"):
            weights_from_sklearn(other)
    logistic = MLPRegressor(hidden_layer_sizes=(3,), activation="logistic", solver="lbfgs", max_iter=5, tol=1e3).fit(
        X, X[:, 0]
    )
    with pytest.raises(SpecError, match="activation 'logistic' is none of ours"):
        weights_from_sklearn(logistic)
    sizes = [MLPRegressor(hidden_layer_sizes=(n,), solver="lbfgs", max_iter=5, tol=1e3).fit(X, X[:, 0]) for n in (3, 4)]
    with pytest.raises(SpecError, match="different sizes"):
        weights_from_sklearn(sizes)


def test_a_sequential_of_pytorch():
    nn = pytest.importorskip("torch").nn
    import torch

    model = nn.Sequential(
        nn.Flatten(), nn.Linear(3, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Dropout()),
        nn.Linear(5, 2),
    ).double().eval()  # fmt: skip
    weights = weights_from_torch(model)
    np.testing.assert_allclose(forward(weights, X, np.tanh), model(torch.tensor(X)).detach().numpy(), rtol=1e-12)
    assert not weights["b2"].any()
    assert weights_from_torch([model, model])["w1"].shape == (2, 4, 3)
    for wrong, said in (
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), r"part '1' \(BatchNorm1d\) has parameters"),
        (nn.ModuleList([nn.Linear(3, 4), nn.Linear(3, 4)]), "4 units is followed by one of 3 inputs"),
        (nn.Sequential(nn.Tanh()), "no Linear layer"),
        (3, "is no module"),
    ):
        with pytest.raises(SpecError, match=said):
            weights_from_torch(wrong)
