#!/usr/bin/env bash
# What only a GPU can tell, in under nine minutes: benchmarks/gpu.sh [--minutes 8.5] [--stages parity,tests] [--out FILE]
# First, where there is a network: pip download --no-deps -d .wheels pywarm==0.4.1 safetensors==0.8.0 (git ignores them).
# By hand: benchmarks/gpu.sh; $PYTHON, or python3, has torch, triton, timm, torchvision, pytest; wheels elsewhere: WHEELS=DIR.
# On a lent machine: run(command="bash benchmarks/gpu.sh", carry=[".wheels"], timeout_s=590), which brings back $OUT/gpu.json.
# It writes the JSON as it goes: $OUT/gpu.json where OUT is set, else benchmarks/gpu.json. 1: a stage failed, and says why there.
# A dry run on a CPU, two minutes, where the peers are: PYTHON=.venv-peers/bin/python benchmarks/gpu.sh --device cpu --tiny
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
wheels=${WHEELS:-$root/.wheels}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
shopt -s nullglob nocaseglob

for package in pywarm=warm safetensors=safetensors; do  # what warmnet imports and a machine that has torch may lack
  "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('${package#*=}') is None)" && continue
  found=("$wheels/${package%=*}"-*.whl)
  [ ${#found[@]} = 1 ] || { echo "$python lacks ${package%=*}, and $wheels has ${#found[@]} wheels of it, not one: see $0" >&2; exit 2; }
  "$python" -m zipfile -e "${found[0]}" "$site"
done
PYTHONPATH=$root:$site${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 "$python" "$root/benchmarks/gpu.py" "$@"
