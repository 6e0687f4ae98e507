"""`python -P -m goose_py`: the same as the console script."""

from goose_py.entry import main

if __name__ == "__main__":
    main()
