#!/usr/bin/env bash
# Train with several processes on this machine, or on NNODES machines, each running this script.
# Usage: tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# One process a GPU; without GPUs the processes share the CPU.
# Variables: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500;
# one machine: a free one).
set -euo pipefail
if (($# < 2)); then
    echo "usage: $0 CONFIG PROCESSES [options of tools/train.py]" >&2
    exit 2
fi
config=$1
processes=$2
shift 2
exec bash "$(dirname "${BASH_SOURCE[0]}")/dist_run.sh" "$processes" train.py "$config" \
    --launcher pytorch "$@"
