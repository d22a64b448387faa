#!/bin/sh
# realm-tiny, the embedded default, from data to bundle: `make realm-tiny`. A killed run goes on where it was.
#
# Environment: DATA        RAISE-TD, the folder that holds train/image_descriptions.csv
#              PRETRAINED  the folder that holds tf_efficientnetv2_b0_in1k.safetensors
#              RUNS        where the run folders lie
#              BUNDLE      where the bundle is written; an older one is replaced when the new one has passed
set -eu
cd "$(dirname "$0")/.."

DATA=${DATA:-../shared/data/raise-td}
PRETRAINED=${PRETRAINED:-../shared/pretrained}
RUNS=${RUNS:-runs/realm-tiny}
BUNDLE=${BUNDLE:-realm_engine/bundles/realm-tiny}
IMAGE_WEIGHTS=$PRETRAINED/tf_efficientnetv2_b0_in1k.safetensors

for needed in "$DATA/train/image_descriptions.csv" "$IMAGE_WEIGHTS"; do
    if [ ! -f "$needed" ]; then
        echo "error: $needed is missing; set DATA and PRETRAINED (see README, 'The embedded default')" >&2
        exit 2
    fi
done
mkdir -p "$RUNS"

step() {
    echo "== $*" >&2
}

# One recipe for the folds that are measured and for the model that ships.
core() {
    realm-train core --data "$DATA" --preset tiny --set ratings=raise-td --image-weights "$IMAGE_WEIGHTS" --resume "$@"
}

step "1/6 CORE, 5-fold cross-validation: the numbers"
core --cross-validate 5 --output "$RUNS/core-folds"

step "2/6 CORE on all rows: the model that ships"
core --no-validation --output "$RUNS/core"

step "3/6 CLIP for DREAM: both towers, then the text projection alone, which learns that 'No, ...' is like no window"
realm-train clip --data "$DATA" --image-weights "$IMAGE_WEIGHTS" --resume --output "$RUNS/clip-towers"
realm-train clip --data "$DATA" --weights "$RUNS/clip-towers/checkpoint.safetensors" --resume --output "$RUNS/clip" \
    --set lock_image=true --set neutral_denials=10 --set other_flaws=0.15 \
    --set steps=200 --set steps_per_epoch=200 --set warmup_steps=20 --set ema=0.98

step "4/6 maps on flaws in photographs never trained on"
for kinds in all held-out; do
    realm-train evaluate map "$RUNS/clip" --data "$DATA" --split test --kinds "$kinds" --stride 16 \
        --per-photograph 2 --output "$RUNS/map-$kinds.json"
done

step "5/6 phrase bank, the scale of maps, metrics"
python recipes/phrase_bank.py "$RUNS/clip" --data "$DATA" --output "$RUNS/phrases.json"
python recipes/clean_maps.py "$RUNS/clip" --data "$DATA" --phrases "$RUNS/phrases.json" \
    --output "$RUNS/photographs.safetensors"
python recipes/collect_metrics.py --core "$RUNS/core-folds/metrics.json" --map "$RUNS/map-all.json" \
    --map-held-out "$RUNS/map-held-out.json" --output "$RUNS/metrics.json"

step "6/6 bundle"
python -m export --core "$RUNS/core" --core-scale "$RUNS/core-folds/scale.json" --clip "$RUNS/clip" --precision fp32 --storage int8-embeddings \
    --phrases "$RUNS/phrases.json" --photographs "$RUNS/photographs.safetensors" --metrics "$RUNS/metrics.json" \
    --name realm-tiny --description "Small CORE and CLIP, the default of realm-engine." \
    --licence recipes/LICENSE-WEIGHTS.md \
    --training-data "RAISE-TD, training split (510 images), and flaws put into its images by realm_train.defects" \
    --output "$BUNDLE" --overwrite
realm-engine verify "$BUNDLE"
