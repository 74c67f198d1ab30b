#!/usr/bin/env bash
# The whole loop on a toy data set, as commands that a user could type.
#
#   make demo                                        (or: bash tools/demo.sh)
#   SEED=1 WORK_DIR=work_dirs/toy_seed1 make demo    (another seed, beside it)
#
# Each command is shown before it runs. Full logs are in $WORK_DIR/logs. A step
# that was finished with the same code, configs, data and seed is not repeated;
# when one of these differs, the old folder is moved aside and all is done anew.
set -euo pipefail

SEED=${SEED:-0}
WORK_DIR=${WORK_DIR:-work_dirs/toy}
CONFIGS=configs/distill/toy
METRICS=$WORK_DIR/metrics
# The libraries' notes to their own developers; errors and the logs stay whole.
export PYTHONWARNINGS=ignore
# Two runs side by side with one thread each are faster on two cores than one
# after the other with two.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=${MKL_NUM_THREADS:-1}

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
    find mmdistill tools configs data/toy/annotations -type f \
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
  mkdir -p "$WORK_DIR"/{logs,done,metrics}
  echo "$wanted" >"$made_by"
}

# The lines that tell how far a step is, with its name in front.
progress() {
  sed -u -n -E \
    -e 's/^.* - (INFO|WARNING) - //' \
    -e 's/(base_)?lr: .*(eta: [0-9:]+).*  (loss: [0-9.]+).*/\2  \3/' \
    -e 's/ +(data_)?time: .*//' \
    -e "/^(Iter\(|Epoch\(|detect|label|count matching|the student sees)/s/^/[$1] /p"
}

# step NAME COMMAND...: run the command unless NAME is done.
step() {
  local name=$1 log=$WORK_DIR/logs/$1.log
  shift
  show "$@"
  if [[ -e $WORK_DIR/done/$name ]]; then
    echo "done before, see $log"
    return
  fi
  if ! "$@" 2>&1 | tee "$log" | progress "$name"; then
    tail -n 15 "$log" >&2
    echo "the step '$name' failed; the whole log is $log" >&2
    exit 1
  fi
  touch "$WORK_DIR/done/$name"
}

checkpoint() {
  local path
  path=$(cat "$WORK_DIR/$1/last_checkpoint")
  echo "${path#"$PWD/"}"
}

train() {
  local name=$1
  shift
  step "train_$name" python tools/train.py "$CONFIGS/$name.py" --no-validate \
    --work-dir "$WORK_DIR/$name" --cfg-options "randomness.seed=$SEED" "$@"
}

evaluate() {
  local name=$1 model=$2
  shift 2
  step "test_$name" python tools/test.py "$CONFIGS/$model.py" \
    "$(checkpoint "$model")" --work-dir "$WORK_DIR/test" \
    --out "$METRICS/$name.json" "$@"
}

# A step that fails takes the one beside it down.
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# both COMMAND COMMAND: two functions side by side; fails when one of them does.
both() {
  "$1" &
  local first=$!
  "$2"
  wait "$first"
}

# student.py names the paths of the default folder.
detect() {
  train detector
  step detect python tools/detect.py $CONFIGS/student.py --work-dir "$WORK_DIR/student" \
    --cfg-options "distill.detector.checkpoint=$(checkpoint detector)" \
    "distill.store=$WORK_DIR/labels"
}

train_teacher() {
  train teacher
}

train_student() {
  local elsewhere=()
  if [[ $WORK_DIR != work_dirs/toy ]]; then
    elsewhere=(
      "distill.teacher.checkpoint=$(checkpoint teacher)"
      "distill.detector.checkpoint=$(checkpoint detector)"
      "distill.store=$WORK_DIR/labels"
    )
  fi
  train student "${elsewhere[@]}"
}

train_baseline() {
  train baseline
}

evaluate_supervised() {
  evaluate baseline baseline
  evaluate teacher teacher
}

evaluate_distilled() {
  evaluate student student
  # The student's config has the views of the labeling; the model is the teacher's.
  step test_teacher_tta python tools/test.py $CONFIGS/student.py \
    "$(checkpoint teacher)" --tta --work-dir "$WORK_DIR/test" \
    --out "$METRICS/teacher_tta.json"
}

run python tools/make_toy_data.py data/toy
claim_work_dir
both detect train_teacher
both train_student train_baseline
both evaluate_supervised evaluate_distilled

run python tools/draw_labels.py $CONFIGS/student.py --out "$WORK_DIR/labels.png" \
  --cfg-options "distill.store=$WORK_DIR/labels"
run python tools/compare_results.py \
  "baseline=$METRICS/baseline.json" "teacher=$METRICS/teacher.json" \
  "teacher+TTA=$METRICS/teacher_tta.json" "student=$METRICS/student.json" \
  --metrics coco/AP 'coco/AP .5' 'coco/AP .75' coco/AR

printf '\nKept and rejected labels: %s\n' "$WORK_DIR/labels.png"
printf 'Time: %d min %02d s\n' $((SECONDS / 60)) $((SECONDS % 60))
