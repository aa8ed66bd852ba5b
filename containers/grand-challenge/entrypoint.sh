#!/bin/sh
# Runs one job of the algorithm. Arguments are passed on (--models, --device, --threads); TWINTRACK_INPUT and TWINTRACK_OUTPUT are for trying it out.
set -eu
exec twintrack grand-challenge --input "${TWINTRACK_INPUT:-/input}" --output "${TWINTRACK_OUTPUT:-/output}" "$@"
