#!/bin/sh
# Installs headless Chromium and its driver, which the tests of the report page need.
set -eu

if command -v chromium >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1; then
    echo "Chromium and chromedriver are installed already."
    exit 0
fi

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 && grep -qE '^ID(_LIKE)?=.*debian' /etc/os-release; then
    apt-get update -qq
    # Ubuntu's chromium package only points to a snap, which does not run in containers
    if grep -q '^ID=ubuntu' /etc/os-release; then
        echo "On Ubuntu install Google Chrome and chromedriver, and set CHROMIUM and CHROMEDRIVER to their paths." >&2
        exit 1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver
    exit 0
fi

cat >&2 <<'HELP'
The tests of the report page need Chromium (or Chrome) and chromedriver of the same version.
  Debian, as root: apt-get install chromium chromium-driver
  Fedora:          dnf install chromium chromedriver
  macOS:           brew install --cask chromium chromedriver
Elsewhere set CHROMIUM and CHROMEDRIVER to the paths of both programs.
HELP
exit 1
