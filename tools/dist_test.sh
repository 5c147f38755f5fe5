#!/usr/bin/env bash
# Test with several processes on this machine, or on NNODES machines, each running this script.
# Usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
# One process a GPU; without GPUs the processes share the CPU.
# Variables: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500;
# one machine: a free one).
set -euo pipefail
if (($# < 3)); then
    echo "usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]" >&2
    exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3
exec bash "$(dirname "${BASH_SOURCE[0]}")/dist_run.sh" "$processes" test.py "$config" \
    "$checkpoint" --launcher pytorch "$@"
