#!/bin/sh
# Writes constraints.txt: the exact version of everything that a complete environment holds, as
# the package index resolves it today. Run the gate afterwards; commit the two together.
set -eu
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
echo "==> Installing the newest of everything into a fresh environment"
python3.11 -m venv "$fresh/venv"
pip="$fresh/venv/bin/python -m pip --quiet --disable-pip-version-check --no-input"
$pip install --upgrade pip
$pip install --editable '.[postgres,ocr,workbooks,dask,ray,parquet,corpus,otel,tui]' --group dev hatchling editables
{
    echo "# Exact versions of everything, tried together. Written by \`make constraints\`."
    $pip freeze --all --exclude-editable | grep -v -i '^setuptools=='
} > "$fresh/constraints.txt"
if grep -n -E '@|://|^-' "$fresh/constraints.txt"; then
    echo "constraints.txt would name an address or a path: see the lines above." >&2
    exit 1
fi
mv "$fresh/constraints.txt" constraints.txt
echo "==> Wrote constraints.txt ($(grep -c == constraints.txt) packages)"
