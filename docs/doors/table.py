from sklearn.datasets import load_diabetes

from gpu_thermo import BayesianMLPRegressor

X, y = load_diabetes(return_X_y=True)  # or your own DataFrame, as it comes
model = BayesianMLPRegressor(random_state=0, tolerance=0.1).fit(X[:350], y[:350])
mean, sd = model.predict(X[350:], return_std=True)
low, high = model.predict_interval(X[350:], 0.9).T
inside = ((low < y[350:]) & (y[350:] < high)).mean()
print(f"{inside:.0%} of new answers lie in their 90 % intervals; {model.trust_.text}")
