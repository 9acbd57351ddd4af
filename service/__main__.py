"""`python -m service`: the command `postcore`."""

from service.cli.stop_signals import main

if __name__ == "__main__":
    main()
