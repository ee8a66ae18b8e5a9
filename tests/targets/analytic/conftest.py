"""One potential after the other."""

import pytest
from potential_cases import POTENTIALS


@pytest.fixture(params=POTENTIALS)
def make(request):
    return POTENTIALS[request.param]
