#!/usr/bin/env bash
# What slurm_train.sh and slurm_test.sh share: one of the tools under Slurm, one process a GPU.
# Usage: tools/slurm_run.sh PARTITION JOB_NAME SCRIPT [its arguments]
set -euo pipefail
partition=$1
job_name=$2
script=$3
shift 3
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
per_node=${GPUS_PER_NODE:-4}
read -ra more <<<"${SRUN_ARGS:-}"
PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" \
exec srun -p "$partition" --job-name="$job_name" --gres=gpu:"$per_node" \
    --ntasks="${GPUS:-4}" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${more[@]+"${more[@]}"} \
    "${PYTHON:-python}" -u "$tools/$script" "$@"
