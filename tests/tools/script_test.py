"""What the script tests share: a runner that ends with the line tools/test adds up."""
import pathlib
import signal
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))


def heed_signals():
    """A test run started by nohup or in the background ignores signals, and its children would."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main():
    heed_signals()
    result = unittest.main(argv=[sys.argv[0], "-v"], exit=False).result
    # A case counts once, however many of its sub-tests fail.
    failed = {getattr(test, "test_case", test) for test, _ in result.failures + result.errors}
    bad, skipped = len(failed), len(result.skipped)
    print(f"{result.testsRun - bad - skipped} passed, {bad} failed, {skipped} skipped")
    sys.exit(bad != 0)
