#!/bin/bash
# Search of hyperparameters as an array of jobs on any Slurm machine: each line of SETTINGS is the
# keys of one run, such as
#     model.num_channels=128 trainer.schedule.learning_rate=1e-3
#
#     SETTINGS=settings.txt sbatch --array=1-"$(wc -l < settings.txt)" recipes/launch/slurm-search.sh
#
#   https://slurm.schedmd.com/job_array.html
#   https://slurm.schedmd.com/sbatch.html  (--signal, --requeue)

#SBATCH --job-name=hydracalc-search
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=hydracalc-%A-%a.log

set -euo pipefail

recipe=${RECIPE:-mtl-all}
line=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "${SETTINGS:?set SETTINGS to a file, one run a line}")
read -r -a keys <<< "$line"
run=${RUNS:-runs/search}/$SLURM_ARRAY_TASK_ID
source "${VENV:?set VENV to the folder of the Python environment}/bin/activate"

export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK

srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    hydracalc pretrain "$recipe" "${keys[@]}" --output "$run" --continue

# stopped by the signal, not done: this member of the array goes on later
if [ ! -e "$run/model.safetensors" ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
