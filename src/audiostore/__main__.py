"""``python -m audiostore`` is the command line."""

from audiostore.cli import main

if __name__ == "__main__":
    main()
