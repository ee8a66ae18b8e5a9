"""The papers that records name by authors and year, in full: for people."""

PAPERS = {
    "Borysenko & Byshkin 2021": (
        "*CoolMomentum: a method for stochastic optimization by Langevin dynamics with simulated annealing*,"
        " Scientific Reports 11, 10705"
    ),
    "Chen, Fox & Guestrin 2014": "*Stochastic gradient Hamiltonian Monte Carlo*, ICML (arXiv:1402.4102)",
    "Ding et al. 2014": "*Bayesian sampling using stochastic gradient thermostats*, NeurIPS",
    "Jones & Leimkuhler 2011": (
        "*Adaptive stochastic methods for sampling driven molecular systems*, Journal of Chemical Physics 135, 084125"
    ),
    "Kingma & Ba 2015": "*Adam: a method for stochastic optimization*, ICLR (arXiv:1412.6980)",
    "Leimkuhler & Matthews 2013": (
        "*Rational construction of stochastic numerical methods for molecular sampling*, Applied Mathematics"
        " Research eXpress"
    ),
    "Leimkuhler, Matthews & Vlaar 2019": (
        "*Partitioned integrators for thermodynamic parameterization of neural networks*, Foundations of Data"
        " Science 1 (LMV, where these pages name it)"
    ),
    "Li, Chen, Carlson & Carin 2016": (
        "*Preconditioned stochastic gradient Langevin dynamics for deep neural networks*, AAAI (arXiv:1512.07666)"
    ),
    "Polyak 1964": (
        "*Some methods of speeding up the convergence of iteration methods*, USSR Computational Mathematics and"
        " Mathematical Physics 4"
    ),
    "Robbins & Monro 1951": "*A stochastic approximation method*, Annals of Mathematical Statistics 22",
    "Robnik & Seljak 2023": (
        "*Fluctuation without dissipation: microcanonical Langevin Monte Carlo* (arXiv:2303.18221)"
    ),
    "Sanz-Serna & Zygalakis 2021": (
        "*Wasserstein distance estimates for the distributions of numerical approximations to ergodic stochastic"
        " differential equations*, Journal of Machine Learning Research 22"
    ),
    "Skeel & Izaguirre 2002": "*An impulse integrator for Langevin dynamics*, Molecular Physics 100",
    "Tieleman & Hinton 2012": "*Lecture 6.5: RMSprop*, Coursera, Neural Networks for Machine Learning",
    "Welling & Teh 2011": "*Bayesian learning via stochastic gradient Langevin dynamics*, ICML",
}
ALSO = {"LMV": "Leimkuhler, Matthews & Vlaar 2019"}


def cited(reference: str) -> list[str]:
    """Each of a record's sources as markdown, in full where it is known: "A & B 2011; C 2014", "LMV"."""
    names = [ALSO.get(name, name) for name in reference.split("; ")]
    return [f"{name}, {PAPERS[name]}" if name in PAPERS else name for name in names]
