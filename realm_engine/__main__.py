"""`python -m realm_engine` is `realm-engine`."""

from realm_engine.cli.main import main

if __name__ == "__main__":
    main(prog_name="realm-engine")
