"""`precision-fix`, and `python -m precision_fix`: the command line, once the current folder is off the path."""

from precision_fix.safe_path import leave_current_folder


def main() -> None:
    """The entry point."""
    leave_current_folder()
    from precision_fix.cli import main

    main()


if __name__ == "__main__":
    main()
