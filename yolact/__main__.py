"""`python -m yolact` is the command `yolact`."""

from yolact.cli.main import main

if __name__ == "__main__":
    main()
