"""Fixtures of the cross-process suites. `broker` is shared by a whole run; `daemons` makes fresh ones for tests
that kill, fill or misuse theirs."""
import itertools
import os
import pathlib
import time

import pytest

import levada
from drivers.registry import DRIVERS

# The defaults (3 s for further members, 60 s between offset commits) would only make every test slower.
SETTINGS = ["group.initial.rebalance.delay.ms=0", "offset.flush.interval.ms=500"]
_COUNTER = itertools.count(1)


def pytest_report_header():
    if os.environ.get("LEVADA_TEST_BOOTSTRAP"):
        return f"broker under test: external, {os.environ['LEVADA_TEST_BOOTSTRAP']}"
    return f"broker under test: {levada.BINARY}"


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=int(os.environ.get("LEVADA_TEST_ROUNDS", "1")),
                     help="multiplies the rounds of the kill -9 loops (make test-long raises it)")


@pytest.fixture(scope="session")
def rounds(request):
    return request.config.getoption("--rounds")


@pytest.fixture(scope="session")
def external():
    """The broker named by the environment, or None."""
    bootstrap = os.environ.get("LEVADA_TEST_BOOTSTRAP")
    if not bootstrap:
        return None
    return levada.External(bootstrap, os.environ.get("LEVADA_TEST_REST"), os.environ.get("LEVADA_TEST_DATA_DIR"))


@pytest.fixture(scope="session")
def broker(external, tmp_path_factory):
    """One broker for the whole run. It must still be up, and stop in order, when the run ends."""
    if external:
        yield external
        return
    daemon = levada.Daemon(tmp_path_factory.mktemp("levada"), SETTINGS).start()
    yield daemon
    assert daemon.alive(), f"the shared daemon died during the run\n{daemon.log_tail()}"
    assert daemon.stop() == 0, daemon.log_tail()


@pytest.fixture
def rest(broker):
    """Base URL of the Connect REST interface under test."""
    if broker.rest_url is None:
        pytest.skip("LEVADA_TEST_REST is not set for this external run")
    return broker.rest_url


@pytest.fixture
def daemons(external, tmp_path):
    """A factory of daemons owned by one test; whatever still runs at its end is killed."""
    if external:
        pytest.skip("needs a broker of its own to kill: not possible with an external one")
    made = []

    def make(settings=(), **options):
        daemon = levada.Daemon(tmp_path / f"levada-{len(made)}", [*SETTINGS, *settings], **options)
        made.append(daemon)
        return daemon.start()

    yield make
    for daemon in made:
        if daemon.process is not None:
            daemon.kill9()


@pytest.fixture
def unique():
    """unique("t") gives a name no other test of this run, or of an earlier one on the same broker, uses."""
    stamp = f"{int(time.time()) % 1_000_000:06d}{os.getpid() % 1000:03d}"
    return lambda prefix: f"{prefix}-{stamp}-{next(_COUNTER)}"


@pytest.fixture(params=sorted(DRIVERS))
def driver(request):
    """Each foreign client in turn."""
    return DRIVERS[request.param]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the daemon's last log lines below a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for name in ("broker",):
            daemon = getattr(item, "funcargs", {}).get(name)
            if daemon is not None and daemon.owned:
                report.sections.append(("levada log", daemon.log_tail()))


@pytest.fixture
def scratch(tmp_path):
    """A directory for input and output files of connectors."""
    path = pathlib.Path(tmp_path) / "files"
    path.mkdir()
    return path
