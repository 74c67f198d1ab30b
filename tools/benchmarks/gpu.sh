#!/usr/bin/env bash
# Everything that needs a GPU, in under 8 minutes: the tests marked `cuda`, then
# labeling (stock / ours / bare) with two models. Prints and writes one JSON object.
#
#     bash tools/benchmarks/gpu.sh [OUT.json]
#
# DEVICE=cpu runs the same steps without one, SETTINGS="--images 2 --models mobilenetv2
# --repeats 1 --no-fast ..." on less; PYTHON is the interpreter.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=${1:-work_dirs/gpu.json}
device=${DEVICE:-cuda}
python=${PYTHON:-.venv/bin/python}
settings=${SETTINGS:---images 32 --models resnet50 vit_b --repeats 3 --workers 4}
limit=${LIMIT:-220}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$out")"

"$python" -c "import sys, torch; sys.exit(sys.argv[1] == 'cuda' and not torch.cuda.is_available())" \
    "$device" || { echo 'error: torch finds no GPU; DEVICE=cpu tries the script without one' >&2; exit 2; }

echo "tests marked cuda, at most $limit s"
tests=0
timeout "$limit" "$python" -m pytest -q -n 0 -m cuda tests/models/test_cuda.py \
    --junitxml "$work/tests.xml" || tests=$?

echo "labeling on $device, at most $limit s"
labeling=0
# shellcheck disable=SC2086  # several words
timeout "$limit" "$python" -m tools.benchmarks.labeling --device "$device" $settings \
    | tee "$work/labeling.txt" || labeling=$?

"$python" -m tools.benchmarks.gpu_summary "$work" "$device" "$tests" "$labeling" "$out"
exit $((tests || labeling))
