#!/bin/sh
# Makes sure of a browser for the tests of the dashboard, where that takes no password.
set -eu
if command -v chromium > /dev/null || command -v chromium-browser > /dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "==> Installing chromium, with which the tests look at the dashboard"
    export DEBIAN_FRONTEND=noninteractive
    if { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; } > /dev/null; then
        exit 0
    fi
fi
echo "==> There is no chromium: the tests that look at the dashboard are left out." >&2
echo "    Debian, Ubuntu: sudo apt install chromium" >&2
