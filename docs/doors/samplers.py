import gpu_thermo as gt

lengths = {"replicas": 4096, "steps": 300, "burn_in": 100, "thin": 10}
langevin = {"name": "langevin", "stepsize": 1.0, "friction": 1.0, "temperature": 1.0}
for word in ("BAOAB", "OBABO", "ABOBA", "{OBABO}"):  # in braces: accepted or rejected
    spec = {"target": {"name": "harmonic"}, "method": {**langevin, "word": word}}
    q = gt.sample({**spec, "run": lengths})["posterior"].dataset.to_dataarray()
    print(f"{word:8} <q^2> = {float((q**2).mean()):.3f}")  # exactly 1, 4/3, 1, 1
