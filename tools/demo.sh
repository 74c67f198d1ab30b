#!/usr/bin/env bash
# The whole loop on a toy data set, by the two commands that a user types.
#
#   make demo                                        (or: bash tools/demo.sh)
#   SEED=1 WORK_DIR=work_dirs/demo_1 make demo       (another seed, beside it)
#
# Each command is shown before it runs. What was finished with the same code, configs,
# data and seed is not repeated, and what was stopped goes on; when one of these
# differs, the old folder is moved aside and all is done anew.
set -euo pipefail

SEED=${SEED:-0}
WORK_DIR=${WORK_DIR:-work_dirs/demo}
RECIPE=$WORK_DIR/recipe
DATA=data/toy
# The libraries' notes to their own developers; errors and the logs stay whole.
export PYTHONWARNINGS=ignore

show() {
  printf '\n$'
  printf ' %q' "$@"
  printf '\n'
}

run() {
  show "$@"
  "$@"
}

fingerprint() {
  {
    echo "$SEED"
    find mmdistill tools configs $DATA/annotations -type f \
      -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 cat
  } | python -c 'import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

# Keeps a folder that was made the same way and moves any other one aside.
claim_work_dir() {
  local made_by=$WORK_DIR/fingerprint wanted
  wanted=$(fingerprint)
  if [[ -d $WORK_DIR && $(cat "$made_by" 2>/dev/null) != "$wanted" ]]; then
    local aside
    aside=$WORK_DIR.$(date +%Y%m%d_%H%M%S)
    mv "$WORK_DIR" "$aside"
    echo "$WORK_DIR was made with other code, configs, data or seed: now $aside"
  fi
  mkdir -p "$WORK_DIR"
  echo "$wanted" >"$made_by"
}

# A detector, as several figures are on an image, which distill.py trains; a short
# schedule and few views, so that it takes minutes. All else is as new_recipe.py
# recommends.
write_recipe() {
  local command=(
    python tools/new_recipe.py "$(basename "$WORK_DIR")"
    --labeled $DATA/annotations/labeled.json --val $DATA/annotations/val.json
    --unlabeled $DATA/images/unlabeled
    --detector configs/distill/toy/detector.py
    --detector-checkpoint "$WORK_DIR/detector/iter_400.pth"
    --iterations 300 --scales 1
    --seed "$SEED" --out "$RECIPE" --work-dir "$WORK_DIR" --yes
  )
  if [[ -d $RECIPE ]]; then
    show "${command[@]}"
    echo "done before, see $RECIPE"
  else
    run "${command[@]}"
  fi
}

run python tools/make_toy_data.py $DATA
claim_work_dir
write_recipe
run python tools/distill.py "$RECIPE/student.py" --baseline --jobs 2 --show 8

printf '\nKept and rejected labels: %s\n' "$WORK_DIR/student/show/labels.png"
printf 'Time: %d min %02d s\n' $((SECONDS / 60)) $((SECONDS % 60))
