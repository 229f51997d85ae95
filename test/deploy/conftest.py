"""Fixtures of the deployment's tests."""
import pytest

import manifests

pytest_plugins = ["kit.fixtures"]


@pytest.fixture(scope="session", params=[f"{way}-{mode}" for way in ("helm", "kustomize") for mode in manifests.MODES])
def shipped(request):
    """The objects of each way to install and each mode, as they are without further wishes."""
    way, mode = request.param.split("-")
    return manifests.chart(mode) if way == "helm" else manifests.overlay(mode)


@pytest.fixture(scope="session")
def rendered():
    """rendered(mode, values): what the chart makes of them; each only once."""
    made = {}

    def render(mode, values=None):
        key = repr((mode, values))
        if key not in made:
            made[key] = manifests.chart(mode, values)
        return made[key]
    return render
