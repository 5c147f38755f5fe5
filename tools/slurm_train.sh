#!/usr/bin/env bash
# Train under Slurm, one process a GPU; as the toolbox's script of this name.
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]
# Variables: GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (5), SRUN_ARGS (more options of srun).
set -euo pipefail
if (($# < 3)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [options of tools/train.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
shift 3
exec bash "$(dirname "${BASH_SOURCE[0]}")/slurm_run.sh" "$partition" "$job_name" train.py \
    "$config" --launcher=slurm "$@"
