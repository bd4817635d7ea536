#!/bin/sh
# The models of an image: `bake_stage.sh MODELS FOLDER`, with MODELS as the build argument of that name.
set -eu
lock=builder/bake.lock.json
mkdir -p "$2"
case "$1" in
    baked)
        python -m builder.bake --into "$2" --lock "$lock"
        ;;
    cache) # what most published repositories lack is the vocabulary of the text encoders
        python -m builder.bake --into "$2" --lock "$lock" --presets starter --features none \
            --files "clip_tokenizer/vocab.json clip_tokenizer/merges.txt"
        ;;
    volume) ;;
    *)
        echo "MODELS is '$1'; allowed: baked, cache, volume" >&2
        exit 2
        ;;
esac
cp "$lock" "$2"
