#!/usr/bin/env bash
# Test under Slurm, one process a GPU; as the toolbox's script of this name.
# Usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# Variables: GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (5), SRUN_ARGS (more options of srun).
set -euo pipefail
if (($# < 4)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
checkpoint=$4
shift 4
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
per_node=${GPUS_PER_NODE:-4}
read -ra more <<<"${SRUN_ARGS:-}"
PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" \
exec srun -p "$partition" --job-name="$job_name" --gres=gpu:"$per_node" \
    --ntasks="${GPUS:-4}" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${more[@]+"${more[@]}"} \
    "${PYTHON:-python}" -u "$tools/test.py" "$config" "$checkpoint" --launcher=slurm "$@"
