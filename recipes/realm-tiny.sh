#!/bin/sh
# realm-tiny, the embedded default, from data to bundle: `make realm-tiny`. A killed run goes on where it was.
#
# Environment: DATA        RAISE-TD, the folder that holds train/image_descriptions.csv
#              PRETRAINED  the folder that holds tf_efficientnetv2_b0_in1k.safetensors
#              RUNS        where the run folders lie, and the photographs that are fetched
#              BUNDLE      where the bundle is written; an older one is replaced when the new one has passed
set -eu
cd "$(dirname "$0")/.."

DATA=${DATA:-../shared/data/raise-td}
PRETRAINED=${PRETRAINED:-../shared/pretrained}
RUNS=${RUNS:-runs/realm-tiny}
BUNDLE=${BUNDLE:-realm_engine/bundles/realm-tiny}
IMAGE_WEIGHTS=$PRETRAINED/tf_efficientnetv2_b0_in1k.safetensors
FREE=$RUNS/free-photographs
FLAWS=$RUNS/flaws

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
    realm-train core --data "$DATA" --preset tiny --set ratings=raise-td --set flaws="$FLAWS" \
        --image-weights "$IMAGE_WEIGHTS" --resume "$@"
}

# DREAM sees free photographs alone, so that its weights are free as well; so does what is measured for its phrases.
clip() {
    realm-train clip --data "$FREE" --resume --set encoder=one-pass --set precision=fp32 \
        --set validation_photographs=30 --set test_photographs=0 --set pairs.images=8 --set pairs.clean=3 \
        --set pairs.described=0 --set pairs.inside=16 --set pairs.outside=24 --set pairs.edits=0.3 \
        --set pairs.picture_px=224 --set embed_dim=128 "$@"
}

step "1/10 freely licensed photographs"
python recipes/free_photographs.py --output "$FREE"

step "2/10 features of planted flaws, by which CORE learns to see them"
python recipes/flaw_features.py --photographs "$FREE" --image-weights "$IMAGE_WEIGHTS" --count 4000 --output "$FLAWS"

step "3/10 CORE, 5-fold cross-validation: the numbers, and how sure a score is"
core --cross-validate 5 --output "$RUNS/core-folds"

step "4/10 CORE on all rows: the model that ships"
core --no-validation --output "$RUNS/core"

step "5/10 CLIP for DREAM: both towers, then the text projection alone, which learns that 'No, ...' is like no window"
clip --image-weights "$IMAGE_WEIGHTS" --output "$RUNS/clip-towers" --set steps=3200 --set steps_per_epoch=200 \
    --set warmup_steps=100 --set ema=0.99
clip --weights "$RUNS/clip-towers/checkpoint.safetensors" --output "$RUNS/clip" --set lock_image=true \
    --set neutral_denials=10 --set other_flaws=0.15 --set steps=250 --set steps_per_epoch=125 --set warmup_steps=20 \
    --set ema=0.98

step "6/10 maps on flaws in photographs never trained on, and on real ones"
for kinds in all held-out; do
    realm-train evaluate map "$RUNS/clip" --data "$DATA" --unseen --split test --kinds "$kinds" \
        --per-photograph 2 --output "$RUNS/map-$kinds.json"
done
realm-train evaluate map "$RUNS/clip" --data "$DATA" --exam benchmarks/exams/raise-td-boxes.json --output "$RUNS/map-real.json"

step "7/10 phrase bank, the scale of maps, metrics"
python recipes/phrase_bank.py "$RUNS/clip" --data "$FREE" --output "$RUNS/phrases.json"
# Of 30 photographs the largest map is a better bound for others than a percentile is.
python recipes/clean_maps.py "$RUNS/clip" --data "$FREE" --phrases "$RUNS/phrases.json" --share 0.99 \
    --output "$RUNS/photographs.safetensors"
python recipes/collect_metrics.py --core "$RUNS/core-folds/metrics.json" --map "$RUNS/map-all.json" \
    --map-held-out "$RUNS/map-held-out.json" --map-real "$RUNS/map-real.json" --output "$RUNS/metrics.json"

step "8/10 bundle"
python -m export --core "$RUNS/core" --core-scale "$RUNS/core-folds/scale.json" --clip "$RUNS/clip" \
    --precision fp32 --precision fp16 --storage int8-text --phrases "$RUNS/phrases.json" \
    --photographs "$RUNS/photographs.safetensors" --metrics "$RUNS/metrics.json" \
    --name realm-tiny --description "Small CORE and CLIP, the default of realm-engine." \
    --terms recipes/realm-tiny.terms.json --output "$BUNDLE" --overwrite

step "9/10 niqe and brisque: their authors' parameters, and what they are worth here"
python -m export --niqe --brisque --output "$RUNS/nss" --overwrite
python recipes/nss_worth.py "$RUNS/nss" --data "$DATA" --output "$RUNS/nss-worth.json"
python -m export --into "$BUNDLE" --niqe --brisque --metrics "$RUNS/nss-worth.json" --output "$BUNDLE" --overwrite

step "10/10 real-fake on what CORE's tower sees, and scales for --combine"
realm-train probe --data "$DATA" --photographs "$FREE" --bundle "$BUNDLE" --output "$RUNS/probe"
python -m export --into "$BUNDLE" --real-fake "$RUNS/probe" --licence recipes/LICENSE-REAL-FAKE.md \
    --training-data "RAISE-TD, training split (510 images), and 151 freely licensed photographs (recipes/free_photographs.csv)" \
    --output "$BUNDLE" --overwrite
python recipes/measure_scales.py "$BUNDLE" --data "$DATA" --output "$RUNS/scales.json"
python -m export --into "$BUNDLE" --scales "$RUNS/scales.json" --output "$BUNDLE" --overwrite
realm-engine verify "$BUNDLE"
realm-train evaluate pairs "$BUNDLE" --data "$DATA" --output "$RUNS/pairs.json"
