#!/bin/sh
# Measures everything that docs/performance.md shows and writes its tables: bench/figures.sh [DATA],
# about five minutes on two CPUs.
#
# DATA is a folder with sst2/dev.tsv and sst2/train.tsv (GLUE SST-2), else $FQBERT_DATA, else
# ../shared/data. FIGURES_UNDER is put before every measured command, for all runtimes alike:
# FIGURES_UNDER="chrt -f 10" keeps other processes out of the way (as root). Run it on a machine
# that does nothing else.
set -eu
cd "$(dirname "$0")/.."
data=${1:-${FQBERT_DATA:-../shared/data}}
out=bench/figures
under=${FIGURES_UNDER:-}
threads=${FIGURES_THREADS:-2}
runs=${FIGURES_RUNS:-9}
for file in dev train; do
    if [ ! -f "$data/sst2/$file.tsv" ]; then
        echo "error: no $data/sst2/$file.tsv: give the folder with labelled data" >&2
        exit 1
    fi
done

# One by one: built together they would share features, and be built anew by the commands of
# docs/performance.md.
for package in fqbert fqbert-kernel-bench fqbert-peers; do
    cargo build --locked --release -p "$package"
done
bin=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$out"

# Each file gets its name when it is complete.
keep() {
    file=$1
    shift
    "$@" >"$out/$file.tmp"
    mv "$out/$file.tmp" "$out/$file"
}

# shellcheck disable=SC2086 # $under is words on purpose.
measure() { $under "$@"; }

# Models, environment and page cache before the first measurement.
for shape in bert-base:128 bert-base:16 bert-base:384 minilm-l6:128; do
    "$bin/fqbert-peers" --shape "${shape%:*}" --seq "${shape#*:}" --threads "$threads" --prepare
done

load=$(cut -d' ' -f1-3 /proc/loadavg)
date=$(date -u +%Y-%m-%dT%H:%MZ)

for shape in bert-base:128 bert-base:16 bert-base:384 minilm-l6:128; do
    keep "peers-${shape%:*}-${shape#*:}.json" measure "$bin/fqbert-peers" \
        --shape "${shape%:*}" --seq "${shape#*:}" --threads "$threads" --runs "$runs" --json
done

# Without the folder of the data: it is this machine's.
eval_three() {
    echo '['
    for turn in 1 2 3; do
        [ $turn = 1 ] || echo ','
        measure "$bin/fqbert" --device "emu:zcu102?threads=$threads" --json eval --data "$@" |
            sed 's#"data": ".*/#"data": "#'
    done
    echo ']'
}
# The training set has 13 tokens a sentence, the dev set 25.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
short=$scratch/train-872.tsv
head -n 873 "$data/sst2/train.tsv" >"$short"
keep sst2-packed.json eval_three "$data/sst2/dev.tsv"
keep sst2-alone.json eval_three "$data/sst2/dev.tsv" --no-packing
keep sst2-short-packed.json eval_three "$short"
keep sst2-short-alone.json eval_three "$short" --no-packing

keep startup.json measure "$bin/startup" --threads "$threads" --json

# Last: with it the measurements count as complete.
keep run.json printf '{"date": "%s", "load": "%s", "under": "%s", "commit": "%s"}\n' \
    "$date" "$load" "$under" "$(git rev-parse --short HEAD)"
"$bin/figures"
