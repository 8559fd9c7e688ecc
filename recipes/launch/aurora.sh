#!/bin/bash -l
# Pretraining on Aurora (ALCF): qsub -A PROJECT recipes/launch/aurora.sh
#
# Twelve ranks a node, one for each tile of the six GPUs, started by PALS's mpiexec, with the cores
# of the pages
#   https://docs.alcf.anl.gov/aurora/running-jobs-aurora
#   https://docs.alcf.anl.gov/aurora/data-science/frameworks/pytorch
# PBS has no signal ahead of the time limit, so `timeout` sends one; the job submits its successor.

#PBS -N hydracalc
#PBS -l select=4
#PBS -l place=scatter
#PBS -l walltime=06:00:00
#PBS -l filesystems=home:flare
#PBS -q prod
#PBS -k doe
#PBS -j oe

set -eo pipefail # modules use variables that are not set

cd "$PBS_O_WORKDIR"
module use /soft/modulefiles
module load frameworks

recipe=${RECIPE:-mtl-all}
run=${RUN:-$PWD/runs/$recipe}
# an environment on top of the module's, which has torch for Intel's GPUs and mpi4py
source "${VENV:?set VENV to the folder of the Python environment}/bin/activate"

nodes=$(sort -u "$PBS_NODEFILE" | wc -l)
seconds=$((6 * 3600 - 600)) # ten minutes less than the walltime above

export OMP_NUM_THREADS=3
export ZE_FLAT_DEVICE_HIERARCHY=FLAT # twelve devices a node; a rank takes that of its local rank
export FI_CXI_DEFAULT_CQ_SIZE=131072 # for more than 16 nodes
export FI_CXI_CQ_FILL_PERCENT=20
export CCL_PROCESS_LAUNCHER=pmix
export CCL_ATL_TRANSPORT=mpi
export CCL_KVS_MODE=mpi
export CCL_WORKER_AFFINITY=5,13,21,29,37,45,57,65,73,81,89,97
cores=2-4:10-12:18-20:26-28:34-36:42-44:54-56:62-64:70-72:78-80:86-88:94-96

# SIGTERM is what mpiexec passes to its ranks everywhere; --foreground keeps it from the others
timeout --foreground --signal=TERM --preserve-status "$seconds" \
    mpiexec -n $((12 * nodes)) -ppn 12 --cpu-bind "list:$cores" \
    hydracalc pretrain "$recipe" --output "$run" --continue

# stopped by the signal, not done: a job like this one goes on later
if [ ! -e "$run/model.safetensors" ]; then
    qsub -v "RECIPE=$recipe,RUN=$run,VENV=$VENV" "${JOB_SCRIPT:-recipes/launch/aurora.sh}"
fi
