import gpu_thermo as gt

study = {
    "data": {"name": "spirals", "turns": 2, "train": 500, "test": 1000},
    "model": {"hidden": 20},
    "run": {"steps": 3000, "batch": 25},
    "grid": {"method": [{"name": "sgd"}, {"name": "adam"}, {"name": "adlala"}]},
    "seeds": {"count": 50},
}
for label, s in gt.study.summaries(gt.study(study), "accuracy", by=["method"]).items():
    print(f"{label:8} mean {s.mean:.3f} ({s.mean_low:.3f} to {s.mean_high:.3f}), worst seed {s.worst:.3f}")
