"""What holds for all tests."""

import sys

# Some tests limit the size of files, as a full disk would: byte code written meanwhile would be cut short, and stay.
sys.dont_write_bytecode = True
