import pathlib

import pytest


def pytest_addoption(parser):
    parser.addoption("--build", required=True, help="the build folder")


@pytest.fixture(scope="session")
def build(request):
    return pathlib.Path(request.config.getoption("--build"))


@pytest.fixture(scope="session")
def root():
    return pathlib.Path(__file__).resolve().parents[2]
