#!/bin/bash
# Pretraining on the GPU nodes of Perlmutter (NERSC): sbatch -A ACCOUNT recipes/launch/perlmutter.sh
#
# Four tasks a node, one for each A100, started by srun:
#   https://docs.nersc.gov/machinelearning/launchers
#   https://docs.nersc.gov/jobs/policy
# The time limit is announced to the tasks by a signal, and the job goes back into the queue:
#   https://slurm.schedmd.com/sbatch.html  (--signal, --requeue)

#SBATCH --job-name=hydracalc
#SBATCH --constraint=gpu
#SBATCH --qos=regular
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=06:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=hydracalc-%j.log

set -euo pipefail

recipe=${RECIPE:-mtl-all}
run=${RUN:-$SCRATCH/runs/$recipe}
# an environment with torch for CUDA and mpi4py built by Cray's compiler wrapper
source "${VENV:?set VENV to the folder of the Python environment}/bin/activate"

export OMP_NUM_THREADS=8
# torch and NCCL talk over Slingshot, not over the node's other networks
export GLOO_SOCKET_IFNAME=hsn0
export NCCL_SOCKET_IFNAME=hsn

# all tasks of a node see its four GPUs and take that of their local rank
srun --kill-on-bad-exit=1 --cpu-bind=cores --gpu-bind=none \
    hydracalc pretrain "$recipe" --output "$run" --continue

# stopped by the signal, not done: the same job goes on later
if [ ! -e "$run/model.safetensors" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
