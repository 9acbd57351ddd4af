"""`python -m service`: the command `postcore`."""

from service.cli import main

if __name__ == "__main__":
    main()
