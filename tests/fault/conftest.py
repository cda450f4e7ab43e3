import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))


def pytest_addoption(parser):
    parser.addoption("--shim", required=True, help="alloc_shim.so")
    parser.addoption("--all", action="store_true", help="fail every single allocation instead of a sample")


@pytest.fixture(scope="session")
def shim(request):
    return request.config.getoption("--shim")


@pytest.fixture(scope="session")
def every(request):
    return request.config.getoption("--all")
