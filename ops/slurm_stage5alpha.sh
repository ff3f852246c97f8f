#!/bin/bash
# One training run as one job:
#   sbatch ops/slurm_stage5alpha.sh data=fvc penalty=elasticnet solver=saga C=0.1
# Submit it from the project's folder, with the project's Python first on the PATH.
#SBATCH --job-name=fvc-stage5alpha
#SBATCH --output=fvc-stage5alpha-%j.log
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
set -euo pipefail
exec srun --unbuffered python -u run.py stage=train "$@"
