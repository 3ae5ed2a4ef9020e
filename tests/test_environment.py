"""The diagnosis of haliax, in environments made of metadata."""

import importlib
import sys

import pytest

from levgen.environment import check_haliax, haliax_problem, installed_version
from levgen.errors import LevgenError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes an environment that has just these distributions."""

    def install(**versions):
        for name, version in versions.items():
            folder = tmp_path / f"{name}-{version}.dist-info"
            folder.mkdir()
            distribution = name.replace("_", "-")
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        importlib.invalidate_caches()

    return install


def test_marin_haliax_alone_is_right(installed):
    installed(marin_haliax="0.2.20.dev1")
    assert installed_version("marin-haliax") == "0.2.20.dev1"
    assert haliax_problem() is None
    check_haliax()


def test_both_packages(installed):
    installed(haliax="1.3", marin_haliax="0.2.20.dev1")
    with pytest.raises(LevgenError) as caught:
        check_haliax()
    assert caught.value.message == (
        "the dead package haliax 1.3 is installed beside marin-haliax 0.2.20.dev1, and both write the folder `haliax`; "
        "levgen needs marin-haliax"
    )
    assert caught.value.hint == (
        "mend it with:\n  pip uninstall -y haliax marin-haliax\n"
        "  pip install --force-reinstall --no-deps 'marin-haliax==0.2.20.dev1'"
    )


def test_the_dead_package_alone(installed):
    installed(levgen="0.1.0", haliax="1.3")
    problem = haliax_problem()
    assert "dead package haliax 1.3 is installed; levgen" in problem.message
    assert problem.mend[0] == "pip uninstall -y haliax"


def test_neither(installed, tmp_path):
    installed(levgen="0.1.0")
    with open(tmp_path / "levgen-0.1.0.dist-info/METADATA", "a") as metadata:
        metadata.write("Requires-Dist: marin-haliax>=9.1; python_version < '3'\n")
        metadata.write("Requires-Dist: marin-haliax>=9.2; python_version >= '3'\n")
    assert haliax_problem().mend == ("pip install 'marin-haliax>=9.2'",)
