#!/usr/bin/env bash
# Builds both images of the Dockerfile without a Docker engine or a registry of images, and runs them with the network off.
#
#   builder/run_dockerfile.sh FOLDER      (as root; Debian packages: buildah crun debootstrap iproute2)
#
# Everything is written below FOLDER (about 12 GB, removed but for the log and the picture): a Debian base with Python made on
# the spot, the images with the shipped model and a CPU build of torch, the picture that the worker made. Packages come from
# wherever pip and apt of this machine get theirs.
set -euo pipefail

work=$(realpath -m "$1")
source=$(realpath "$(dirname "$0")/..")
mkdir -p "$work"
store=(--root "$work/store" --runroot "$work/run" --storage-driver vfs)
base=localhost/pybase:3.11
say() { printf '%s  %s\n' "$(date -u +%T)" "$*" | tee -a "$work/log"; }
run() { buildah "${store[@]}" run --isolation chroot "$@"; }
: > "$work/log"

make_base() {
    local root="$work/rootfs" container
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" > "$work/debootstrap.log"
    mount --bind /proc "$root/proc"
    trap 'umount "$root/proc"' RETURN
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    chroot "$root" apt-get install -y --no-install-recommends python3 python3-venv > "$work/apt.log"
    rm -f "$root/etc/resolv.conf" "$root"/var/cache/apt/archives/*.deb
    container=$(buildah "${store[@]}" from scratch)
    umount "$root/proc"
    trap - RETURN
    buildah "${store[@]}" add "$container" "$root" / > /dev/null
    buildah "${store[@]}" commit --quiet --format docker --rm "$container" "$base" > /dev/null
}

# Where this machine's pip looks: its configuration files, and the folders that they name.
mounts=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
while read -r path; do
    mounts+=(--volume "$path:$path:ro")
done < <(
    { python3 -m pip config debug | sed -n 's/^ *\(\/.*\), exists: True$/\1/p'
      python3 -m pip config list | grep -oE "(file://)?/[^' ]+" | sed 's#^file://##; s#/simple$##'; } | grep -v '^/etc/ssl/certs' | sort -u
)

build() { # TARGET ARGUMENTS...
    local target=$1
    shift
    buildah "${store[@]}" bud --isolation chroot --format docker --target "$target" --build-arg "BASE_IMAGE=$base" \
        "${mounts[@]}" "$@" --tag "localhost/$target" "$source" > "$work/build-$target.log" 2>&1
}

told() { buildah "${store[@]}" inspect --type image --format "$2" "localhost/$1"; }
size() { run "$1" -- du -sm "$2" 2> /dev/null | cut -f1; }

say "base image"
buildah "${store[@]}" inspect --type image "$base" > /dev/null 2>&1 || make_base

say "build shim"
build shim
say "build worker, models baked: the shipped one"
build worker --build-arg BAKE_PRESETS=starter --build-arg BAKE_FEATURES=none
say "built"

for image in shim worker; do
    say "$image: user $(told $image '{{.OCIv1.Config.User}}'), command $(told $image '{{.OCIv1.Config.Cmd}}')," \
        "health check $(told $image '{{.Docker.Config.Healthcheck.Test}}')"
    say "$image: labels $(told $image '{{.OCIv1.Config.Labels}}')"
done

shim=$(buildah "${store[@]}" from localhost/shim)
say "shim: $(size "$shim" /opt/venv) MB of packages, $(size "$shim" /app) MB of code on top of the base image"
run "$shim" -- python -c "import importlib.util as u; assert not any(map(u.find_spec, ('torch', 'runpod', 'cv2', 'numpy', 'boto3')))"
say "shim: no torch, runpod, cv2, numpy, boto3"
unshare --net bash -c '
    ip link set lo up
    "$@" env RUNPOD_ENDPOINT_ID=none RUNPOD_API_KEY=none python -m fooocus_engine.shim > "'"$work"'/shim.log" 2>&1 &
    for _ in $(seq 120); do
        "$@" python healthcheck.py http://127.0.0.1:8888/docs && break
        sleep 1
    done
    "$@" python healthcheck.py http://127.0.0.1:8888/docs
    kill %1
    wait %1 || true
' -- buildah "${store[@]}" run --isolation chroot "$shim" --
say "shim: healthy with the network off"

worker=$(buildah "${store[@]}" from localhost/worker)
say "worker: $(size "$worker" /opt/venv) MB of packages, $(size "$worker" /app) MB of code and models on top of the base image"
run "$worker" -- cat manifest.json > "$work/manifest.json"
say "worker: manifest names $(python3 -c "import json,sys; print(json.load(open(sys.argv[1]))['model_filenames'])" "$work/manifest.json")"
run "$worker" -- sh -c '! touch models/x handler.py 2> /dev/null && touch outputs/x && rm outputs/x'
say "worker: may write its outputs and nothing else of the product"
unshare --net buildah "${store[@]}" run --isolation chroot "$worker" -- \
    env FOOOCUS_STORAGE=folder python handler.py > "$work/handler.log" 2>&1
run "$worker" -- sh -c 'cat outputs/files/*/*.png' > "$work/picture.png"
python3 - "$work/picture.png" <<'PYTHON'
import struct, sys
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND", "no PNG"
print("%d x %d" % struct.unpack(">II", data[16:24]))
PYTHON
say "worker: python handler.py with test_input.json made a picture with the network off, $(stat -c %s "$work/picture.png") bytes"
buildah "${store[@]}" copy --quiet "$worker" "$source/docs/pictures/a-small-red-circle-on-a-blue-background.png" /tmp/ > /dev/null
run "$worker" -- python -c "
from glob import glob
from PIL import Image
made, told = (Image.open(glob(name)[0]).convert('RGB').tobytes() for name in ('outputs/files/*/*.png', '/tmp/*.png'))
assert made == told
"
say "worker: it is the first picture of the README, pixel by pixel"

buildah "${store[@]}" rm --all > /dev/null
if [ -z "${KEEP:-}" ]; then
    buildah "${store[@]}" rmi --all --force > /dev/null
    rm -rf "$work/store" "$work/run" "$work/rootfs"
fi
say "done"
