"""The rules of settings: of config files, of command lines, of environment variables."""
