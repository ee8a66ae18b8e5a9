"""What is known of each named method's law, and where its defaults come from: for people, beside the rows of METHODS.

A law is what the method samples at a finite stepsize, as far as that is known exactly (equations.md section 10); tests
hold the code to it. Registered methods have none here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Law:
    """What is known of a method.

    Attributes
    ----------
    law : what it samples, exactly where it can be said. origin : where its defaults come from. sections : of
    equations.md, that tell more.
    """

    law: str
    origin: str
    sections: tuple[int, ...]


_WELL = "on a well U = k q^2/2"
_OPTIMISER = "None: an optimiser, whose spread is that of gradient noise and no posterior."
_LMV_SPIRALS = "h, tau, sigma and epsilon are LMV's one setting of AdLaLa for all spirals"
_LANGEVIN = (
    f"BAOAB {_WELL} has <q^2> = tau/k exactly at any stable stepsize, and <p^2> = tau (1 - h^2 k/4). Any word has there"
    " the covariance V = M V M^T + L L^T of its linear map; a word in braces is exact on every target."
)

LAWS: dict[str, Law] = {
    "sgd": Law(_OPTIMISER, "LMV fig. 8: h .1.", (3,)),
    "sgld": Law(
        f"{_WELL[0].upper()}{_WELL[1:]}, <q^2> = tau/(k (1 - h k/2)); tau = 0 is sgd bit for bit.",
        "LMV figs. 6 and 12: h .1 and sigma .01, which is tau = sigma^2/2 = 5e-5.",
        (3, 10),
    ),
    "momentum": Law(
        _OPTIMISER + " Type I is the word OBA at tau = 0 with mu = exp(-gamma h) and learning rate h^2.",
        "Ours; mu .9 is the custom.",
        (3,),
    ),
    "adam": Law(_OPTIMISER, "LMV figs. 6 and 8: h .005; the means' .9 and .999 are the paper's.", (3,)),
    "rmsprop": Law(_OPTIMISER, "Ours; the mean's .99 and the 1e-8 are PyTorch's.", (3,)),
    "coolmomentum": Law(
        "None of its positions; at fixed gradient noise its temperature is proportional to (1 + rho)/(1 - rho), which"
        " the laws `exponential` and `linear` of `cooling` follow exactly.",
        "rho .99 at the start is the paper's; h is ours.",
        (3,),
    ),
    "sghmc": Law(
        "To rounding the word OBA at the temperature 2 tau/(1 + mu), which is tau for mu near 1 only; tau = 0 is"
        " momentum, and mu = 0 is sgld.",
        "h and mu are ours; tau is that of sgld.",
        (3, 16),
    ),
    "psgld": Law(
        "Biased: without noise in the gradient exp(-U/tau) |g| as h falls to 0, so that a well's variance comes out"
        " twice too large. Where convergence matters use a word with masses.",
        "h is ours, tau that of sgld; the mean's .99 and the 1e-5 are the paper's.",
        (3, 16),
    ),
    "langevin": Law(_LANGEVIN, "LMV fig. 10: h .25 and tau 1e-4; gamma 1 is ours.", (2, 10, 13)),
    "adl": Law(
        f"{_WELL[0].upper()}{_WELL[1:]}, as h falls to 0, E xi = (sigma^2 + h s_G^2)/(2 tau), s_G the gradient noise,"
        " and Var xi = epsilon tau: what the thermostat absorbs. Positions have variance tau/k.",
        f"{_LMV_SPIRALS}.",
        (2, 10),
    ),
    "lala": Law(
        f"{_LANGEVIN} With temperatures that differ by layer no joint density is known.",
        "LMV figs. 7 and 10: tau 1e-4 and gamma .1 at h .25.",
        (2, 10),
    ),
    "lol": Law(
        "The output layer's BAOAB at gamma = inf is the method of Leimkuhler and Matthews with learning rate h^2/2,"
        " which is right in variance on a well; at tau = 0 there it is descent, and the run samples no posterior.",
        "LMV figs. 11 and 14: tau 1e-3 and 0, gamma .01, h .25.",
        (3, 10),
    ),
    "adlala": Law(
        "Each layer by itself as `adl` and `langevin` have it; with temperatures that differ by layer no joint density"
        " is known.",
        f"{_LMV_SPIRALS}, gamma .1 with them.",
        (2, 4, 10),
    ),
    "mclmc": Law(
        "exp(-U/tau) in the limit h to 0; the error of a palindrome falls as h^2. In braces exact at any stepsize.",
        "Ours: h .005 is for networks at tau 1e-4; sqrt(tau/k) is the length to compare it with.",
        (16, 13),
    ),
    "splitting": Law(
        f"That of your word: {_WELL} the covariance V = M V M^T + L L^T of its linear map (`gpu-thermo verify`).",
        "Ours; sigma and epsilon are those of adlala.",
        (2, 10),
    ),
}
"""By name of the method."""
