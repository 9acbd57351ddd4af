"""`python -m service`: the command `postcore`."""

from service.cli.entry import main

if __name__ == "__main__":
    main()
