"""What the end of a check means where it did not pass."""

import pytest

from goose_py.protocol.events import VerificationFinished
from goose_py.tasks.check_outcomes import Hindrance, hindrance, same_way


@pytest.mark.parametrize(
    ("code", "output", "found"),
    [
        (127, "/bin/bash: line 1: pytest: command not found\n", Hindrance("program", "pytest")),
        (127, "sh: 1: jest: not found\n", Hindrance("program", "jest")),
        (126, "", Hindrance("program")),
        (2, "make: jest: No such file or directory\nmake: *** [Makefile:2: test] Error 127\n", Hindrance("program", "jest")),
        (1, "ModuleNotFoundError: No module named 'numpy'\n", Hindrance("module", "numpy")),
        (1, "/usr/bin/python3: No module named pytest\n", Hindrance("module", "pytest")),
        (1, "Error: Cannot find module 'left-pad'\n", Hindrance("module", "left-pad")),
        (1, "npm ERR! getaddrinfo EAI_AGAIN registry.npmjs.org\n", Hindrance("network", "registry.npmjs.org")),
        (1, "curl: (6) Could not resolve host: example.org\n", Hindrance("network", "example.org")),
        (1, "touch: cannot touch '/usr/x': Read-only file system\n", Hindrance("read-only", "/usr/x")),
        (1, "OSError: [Errno 30] Read-only file system: '/home/a/.npm'\n", Hindrance("read-only", "/home/a/.npm")),
        (1, "E  assert 3 == 12\n1 failed in 0.1s\n", None),
    ],
)
def test_what_a_check_went_without_is_named_as_its_output_names_it(code, output, found):
    assert hindrance(code, output, network=False) == found


def test_where_there_is_a_network_it_was_not_the_want_of_one():
    assert hindrance(1, "Could not resolve host: example.org", network=True) is None


def ended(code: int) -> VerificationFinished:
    return VerificationFinished(command="pytest", exit_code=code, tree="t")


@pytest.mark.parametrize(
    ("codes", "before", "after", "same"),
    [
        ((1, 1), "FAILED a.py::one - 0.31s\n3 failed in 1.1s", "FAILED a.py::one - 0.4s\n3 failed, 9 passed in 2s", True),
        ((1, 1), "FAILED test_a.py::one", "FAILED test_a.py::one\nFAILED test_a.py::two", False),
        ((1, 1), "FAILED test_a.py::one\nFAILED test_a.py::two", "FAILED test_a.py::one", True),
        ((1, 2), "FAILED test_a.py::one", "FAILED test_a.py::one", False),
        ((1, 1), "ok 1\nnot ok 2 - adds", "ok 1\nnot ok 2 - adds\nnot ok 3 - takes", False),
        ((1, 1), "", "what went well", True),
    ],
)
def test_it_fails_as_before_where_no_failure_is_new(codes, before, after, same):
    assert same_way(ended(codes[0]), ended(codes[1]), (before, after)) is same
