#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: several processes of one of the tools.
# Usage: tools/dist_run.sh PROCESSES SCRIPT [its arguments]
set -euo pipefail
processes=$1
script=$2
shift 2
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
    # Not --standalone, whose watch takes a machine that was suspended for a broken one.
    PORT=$("${PYTHON:-python}" -c "import socket
with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    print(probe.getsockname()[1])")
fi
PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" \
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$tools/$script" "$@"
