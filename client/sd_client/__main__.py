"""`python -m sd_client`: the same as `sd`."""

from sd_client.commands import main

if __name__ == "__main__":
    main()
