#!/bin/bash
# Pretraining on Frontier (OLCF): sbatch -A PROJECT recipes/launch/frontier.sh
#
# Eight tasks a node, one for each graphics die (GCD) with seven of the cores beside it; modules,
# network settings and the advice to take srun, not torchrun, are those of
#   https://docs.olcf.ornl.gov/software/analytics/pytorch_frontier.html
#   https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
# The time limit is announced to the tasks by a signal, and the job goes back into the queue:
#   https://slurm.schedmd.com/sbatch.html  (--signal, --requeue)

#SBATCH --job-name=hydracalc
#SBATCH --partition=batch
#SBATCH --nodes=4
#SBATCH --time=02:00:00
#SBATCH --network=disable_rdzv_get
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=hydracalc-%j.log

set -eo pipefail # modules use variables that are not set

module load PrgEnv-gnu/8.7.0
module load cpe/26.03
module load rocm/7.1.1
module load rccl-net-plugin
module load craype-accel-amd-gfx90a
export LD_LIBRARY_PATH=$CRAY_LD_LIBRARY_PATH:$LD_LIBRARY_PATH

recipe=${RECIPE:-mtl-all}
run=${RUN:-$MEMBERWORK/${SLURM_JOB_ACCOUNT,,}/runs/$recipe}
# an environment with torch for ROCm and mpi4py built by Cray's compiler wrapper
source "${VENV:?set VENV to the folder of the Python environment}/bin/activate"

export OMP_NUM_THREADS=7
MASTER_ADDR=$(hostname -i)
export MASTER_ADDR
export GLOO_SOCKET_IFNAME=hsn0
export NCCL_SOCKET_IFNAME=hsn0,hsn1,hsn2,hsn3
# the compiled kernels of MIOpen go to the node, not to the home folder
export MIOPEN_USER_DB_PATH=/tmp/miopen-$SLURM_JOB_ID
export MIOPEN_CUSTOM_CACHE_DIR=$MIOPEN_USER_DB_PATH

# each task sees its own GCD alone, the nearest to its cores
srun --kill-on-bad-exit=1 --nodes="$SLURM_JOB_NUM_NODES" \
    --ntasks=$((8 * SLURM_JOB_NUM_NODES)) --ntasks-per-node=8 --cpus-per-task=7 \
    --gpus-per-task=1 --gpu-bind=closest \
    hydracalc pretrain "$recipe" --output "$run" --continue

# stopped by the signal, not done: the same job goes on later
if [ ! -e "$run/model.safetensors" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
