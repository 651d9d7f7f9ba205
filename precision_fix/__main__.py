"""`python -m precision_fix` is `precision-fix`."""

from precision_fix.cli import main

if __name__ == "__main__":
    main()
