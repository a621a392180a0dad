#!/usr/bin/env bash
# Restore one stack by processes that know nothing of each other: no Dask, no scheduler of ours.
#
#     workflows/job_array.sh slurm STACK.zarr RESTORED.zarr 100   # an array of 100 SLURM jobs, one GPU each
#     workflows/job_array.sh local STACK.zarr RESTORED.zarr 4     # 4 processes on this machine
#
# Options are in job_array.toml, or in the file that CONFIG names. Every process opens the same store (the
# first makes it) and does what it can do now of its shard of the units. In the first round PSFs are
# estimated, in the second the units that had to wait for PSFs of another shard are restored; `blinddps resume`
# then blends what lies between shards and completes the store. What has ended early goes on with the same command.
set -euo pipefail

if [ $# -ne 4 ]; then
    echo "usage: $0 slurm|local INPUT OUTPUT.zarr NUMBER_OF_SHARDS" >&2
    exit 1
fi
where=$1 n=$4
config=${CONFIG:-$(dirname "$0")/job_array.toml}
restore=$(printf '%q ' blinddps restore "$2" -o "$3" --config "$config" --quiet)
resume=$(printf '%q ' blinddps resume "$3" --quiet)

case $where in
local)
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=PASSIVE
    for _round in 1 2; do
        seq 0 $((n - 1)) | xargs -P "$n" -I{} sh -c "$restore --shard {}/$n"
    done
    sh -c "$resume"
    ;;
slurm)
    # What every job asks for; more of it, such as a partition, in SBATCH_ variables: SBATCH_PARTITION=gpu
    job=(sbatch --parsable --gres=gpu:1 --cpus-per-task=4 --mem=32G --time=04:00:00)
    array=("${job[@]}" --array="0-$((n - 1))" --wrap "$restore --shard \$SLURM_ARRAY_TASK_ID/$n")
    first=$("${array[@]}")
    second=$("${array[@]}" --dependency="afterok:$first")
    "${job[@]}" --dependency="afterok:$second" --wrap "$resume"
    ;;
*)
    echo "$0: $where is neither slurm nor local" >&2
    exit 1
    ;;
esac
