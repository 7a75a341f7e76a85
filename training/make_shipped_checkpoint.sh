#!/bin/sh
# Make assets/tiny_synthetic.* from nothing: data, training, threshold, scores, model card.
#   training/make_shipped_checkpoint.sh FOLDER [training options]
# FOLDER takes the data (about 3.5 GB) and the runs: single frames first, then frames with a past. With
# an H100 and 16 CPU cores the data took 3.9 minutes and the runs 7.6 and 2.8, the second of them on
# the first 56 scenes.
# Every step goes on where an interrupted one stopped.
set -eu
cd "$(dirname "$0")/.."
folder=${1:?"name a folder for data and run"}
shift
python=${PYTHON:-.venv/bin/python}
data=$folder/data assets=assets/tiny_synthetic
version=v1.0-synthetic

"$python" -m gfocc_core.synthetic --out "$data" --scenes 80 --val_scenes 4 --frames 40 --seed 0 \
    --height 128 --width 352 --label_stores '[degraded]'
"$python" training/index_nuscenes.py --dataroot "$data" --version $version --out "$data/index"
"$python" training/make_prior.py --dataroot "$data" --version $version --split synthetic_train \
    --out ${assets}_prior.npz
learn() {
    run=$folder/$1
    shift
    [ -e "$run/summary.json" ] && return
    resume=
    [ -e "$run/last.ckpt" ] && resume=--resume
    "$python" training/train.py --config training/configs/synthetic_tiny.yaml $resume \
        --data.val_split null --data.dataroot "$data" --data.index "$data/index" \
        --data.labels "$data/weak_labels/degraded" --run.out "$run" "$@"
}
learn frames "$@"
learn clips --run.max_steps 350 --data.history 3 --initial_means uniform \
    --pretrained_backbone false --initial_weights "$folder/frames/last.safetensors" \
    --optimizer.learning_rate 4e-4 --optimizer.warmup_steps 20 --optimizer.constant_share 0.2 \
    --optimizer.final_factor 0.01 "$@"
"$python" training/choose_threshold.py --dataroot "$data" --version $version \
    --split synthetic_train --scenes synthetic-train-0000 synthetic-train-0001 --every 4 \
    --by rayiou --checkpoint "$folder/clips/last.safetensors" --out $assets.safetensors

score() {
    "$python" training/evaluate.py --dataroot "$data" --version $version --split synthetic_val \
        --json "$folder/$1.json" "$2" "$3"
}
score model --checkpoint $assets.safetensors
score prior --prior ${assets}_prior.npz
score untrained --untrained training/configs/synthetic_tiny.yaml
"$python" training/write_model_card.py --checkpoint $assets.safetensors \
    --summary "$folder/frames/summary.json" "$folder/clips/summary.json" \
    --data "$data/dataset.json" --model "$folder/model.json" --prior "$folder/prior.json" --untrained "$folder/untrained.json" \
    --title "tiny, trained in the synthetic world" \
    --description "$(cat training/shipped_checkpoint.txt)" --out $assets.md
