"""`python -m tsad`."""

from tsad.cli import main

if __name__ == "__main__":
    main()
