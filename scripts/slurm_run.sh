#!/bin/bash
# One run that outlives preemption, time limits and lost nodes: it goes on where its last checkpoint is. docs/clusters.md
# explains it.
#
#   sbatch scripts/slurm_run.sh results/my-run --config=mmsa --env-config=lbf with seed=1 save_model_interval=20000
#
#SBATCH --job-name=marl
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
#SBATCH --output=slurm-%j.out

results=$1
shift
python=${PYTHON:-.venv/bin/python}
patience=${PATIENCE:-20}  # how often in a row trouble that may pass is waited for
waits=$results/.waits

mkdir -p "$results"
folder=$(find "$results/sacred" -mindepth 4 -maxdepth 4 -name config.json -printf '%h\n' 2>/dev/null | head -n 1)
if [ -n "$folder" ]; then
    "$python" -u src/main.py "resume=$folder" &
else
    "$python" -u src/main.py "$@" "local_results_path=$results" &
fi
run=$!
# The limit is near (USR1), or the machine is wanted back (TERM): the run saves and ends within seconds.
trap 'kill -USR1 $run 2>/dev/null' USR1
trap 'kill -TERM $run 2>/dev/null' TERM
wait $run
code=$?
while kill -0 $run 2>/dev/null; do  # a signal ends `wait` before the run has ended
    wait $run
    code=$?
done

again() {
    echo "exit code $code: job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID" || exit $code
    exit 0
}

case $code in
    138|143|129|130) again ;;  # it was asked to stop, and has saved
    75)  # trouble that may pass: a full disk, memory that others have, a folder in use
        count=$(($(cat "$waits" 2>/dev/null || echo 0) + 1))
        echo $count > "$waits"
        [ $count -le "$patience" ] && sleep "${PAUSE:-60}" && again ;;
    0) rm -f "$waits" ;;
esac
exit $code
