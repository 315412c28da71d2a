#!/usr/bin/env bash
# Sets up StarCraft II 4.10 for Linux and the maps of SMAC and SMACv2 under SC2PATH (default: ~/StarCraftII).
#
#     bash install_sc2.sh                      asks whether you agree to Blizzard's licence
#     bash install_sc2.sh --i-agree            you have read it and agree
#
# What is there already is kept, an interrupted download goes on where it stopped, and nothing is left half installed.
# Needs bash, curl, unzip, sha1sum, sha256sum, 4 GB for the download and 8 GB more while it is unpacked.
# Other places to download from: SC2_URL (the game's zip), SC2_MAPS_URL (a folder with the maps).
set -euo pipefail

LICENCE="https://blzdistsc2-a.akamaihd.net/AI_AND_MACHINE_LEARNING_LICENSE.html"
GAME_URL="${SC2_URL:-https://blzdistsc2-a.akamaihd.net/Linux/SC2.4.10.zip}"
# Blizzard publishes no checksum. This one stands in a public install script (Harimus/SpinningUpPySc2 on GitHub).
GAME_SHA256="${SC2_SHA256:-1052f249f30a242bf5e17cc3315324919f9689307ca6dbcdb30bb41ea3004884}"
GAME_PROGRAM="Versions/Base75689/SC2_x64"
PASSWORD="iagreetotheeula" # with it Blizzard's archives open: who enters it agrees
MAPS_URL="${SC2_MAPS_URL:-https://raw.githubusercontent.com/oxwhirl/smacv2/577ab5a2cff2391f8df582da5731ea9cd6adf3c6/smacv2/env/starcraft2/maps/SMAC_Maps}"
# Maps and their names in git (of oxwhirl/smac d6aab33 and oxwhirl/smacv2 577ab5a, which agree): their checksums.
MAPS="
1dc2286dfd39380feafa6f8a1819248c9f2c9e3b 10m_vs_11m
07dfe38062b880307a95cd7722c17fa7ea740a24 1c3s5z
fcfdeb09dfc47c0b6376447608b3681a2ef8964a 25m
861c7f7069125d9d22e098056f7b430e83917acc 27m_vs_30m
b740b6c3d5fdc71d94f6e9b992206dbbfc5f495d 2c_vs_64zg
f4c05c40b1e7be6ae542c9fcae1bf319d28cf7c3 2m_vs_1z
59846ccf27a67450c03bea41c1fe5efbff4f0ad2 2s3z
c03328db237d440fb98d5e8a8b147a872bb30571 2s_vs_1sc
b35ec1008349e64afb63e23caeaa8c73f6028a03 3m
e5a4313a216031f463383957fce249dba8a94fe4 3s5z
3927ca4f45afacbba09c1abf46aa5576fb8b5345 3s5z_vs_3s6z
4de7cf80e75f7a2e11878f767a74199cf8630a4f 3s_vs_3z
8db2dfc6aa08e310ad99f4f7f0b0b7b84811ffc2 3s_vs_4z
70c99d29635670f8ab9c5c6433c12b235278f2b5 3s_vs_5z
f2ae42c2da5c1d11683d63f458f1a554e2da66fc 5m_vs_6m
df01eb64749ef42cd68e51fb20e53303a476ffe0 6h_vs_8z
6593c72ffaeffada5a45e973967574f46ab0ec12 8m
5b8815f69c84c7ed1244d11bb1654286ba5d52c4 8m_vs_9m
ed26fe446731b821aae6853e310ecce782a89864 MMM
ab25a02bb391b1da5045a2ef73873c42305c429a MMM2
bb81284cc1e7396278b972d39aeb14c2f86d906d bane_vs_bane
90daed607b72b7d0cc14f4d2ccad7302ecc3bd01 corridor
6a184e355eb0f724a53877c12ca055dc22182d67 so_many_baneling
5c4dabff45e2cef6c88f5a1d602f005344e630b1 32x32_flat
"

fail() {
  echo "error: $*" >&2
  exit "${code:-1}"
}

place="${SC2PATH:-$HOME/StarCraftII}"
agreed=no
for word in "$@"; do
  case "$word" in
    --i-agree) agreed=yes ;;
    -h | --help)
      sed -n '2,10s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) code=2 fail "unknown word $word; the form is: [SC2PATH=FOLDER] bash install_sc2.sh [--i-agree]" ;;
  esac
done
for tool in curl unzip sha1sum sha256sum; do
  command -v "$tool" >/dev/null || code=2 fail "$tool is missing; on Debian and Ubuntu: sudo apt-get install curl unzip coreutils"
done

# The name that git has for a file's content.
git_name() {
  { printf 'blob %s\0' "$(wc -c <"$1" | tr -d ' ')"; cat -- "$1"; } | sha1sum | cut -d' ' -f1
}

# download URL FILE: into FILE.part, going on where an earlier try stopped.
download() {
  local status=0 answer
  answer="$(fetch "$1" "$2.part")" || status=$?
  # The server cannot go on (33), or the part is no beginning of its file (416): from the beginning, then.
  if [[ "$status" == 33 || "$answer" == 416 ]]; then
    rm -f -- "$2.part"
    status=0
    fetch "$1" "$2.part" >/dev/null || status=$?
  fi
  [[ "$status" == 0 ]] ||
    fail "$1 could not be downloaded (curl: $status); what has come is kept: run this again to go on"
}

fetch() {
  curl --fail --location --retry 3 --connect-timeout 30 --continue-at - --progress-bar --write-out '%{http_code}' \
    --output "$2" -- "$1"
}

ask_for_agreement() {
  [[ "$agreed" == yes ]] && return
  echo "StarCraft II for Linux is Blizzard's, under the AI and Machine Learning License:"
  echo "    $LICENCE"
  [[ -t 0 ]] || code=2 fail "read it, and if you agree: bash install_sc2.sh --i-agree"
  read -r -p "Have you read it, and do you agree to it? (yes/no) " answer || answer=no
  [[ "$answer" == yes ]] || code=2 fail "nothing was downloaded or installed"
}

install_game() {
  local downloaded="$place/download/${GAME_URL##*/}" unpacked="$place/unpacked" sum entry
  if [[ -x "$place/$GAME_PROGRAM" ]]; then
    echo "StarCraft II 4.10 is there: $place/$GAME_PROGRAM"
    return
  fi
  for entry in "$place"/Versions/Base*; do
    [[ ! -e "$entry" || "$entry" == "$place/$(dirname "$GAME_PROGRAM")" ]] ||
      code=2 fail "$place holds another version of the game (${entry##*/}); set SC2PATH to another folder"
  done
  ask_for_agreement
  mkdir -p -- "$place/download"
  if [[ ! -e "$downloaded" ]]; then
    echo "downloading StarCraft II 4.10 (4 GB) into $place"
    sum="$([[ -e "$downloaded.part" ]] && sha256sum <"$downloaded.part" | cut -d' ' -f1)" || true
    if [[ "$sum" != "$GAME_SHA256" ]]; then # a part, and not a whole that was interrupted here
      download "$GAME_URL" "$downloaded"
      sum="$(sha256sum <"$downloaded.part" | cut -d' ' -f1)"
    fi
    if [[ "$sum" != "$GAME_SHA256" ]]; then
      mv -f -- "$downloaded.part" "$downloaded.other"
      fail "the download has SHA-256 $sum, not $GAME_SHA256: it is kept as $downloaded.other; run this again to" \
        "download it once more, or with SC2_SHA256=$sum if you have reason to trust it"
    fi
    mv -- "$downloaded.part" "$downloaded"
  fi
  echo "unpacking"
  rm -rf -- "$unpacked"
  unzip -q -P "$PASSWORD" -- "$downloaded" -d "$unpacked" || fail "$downloaded could not be unpacked; is the disk full?"
  [[ -f "$unpacked/StarCraftII/$GAME_PROGRAM" ]] || fail "$downloaded holds no StarCraftII/$GAME_PROGRAM"
  chmod +x -- "$unpacked/StarCraftII/$GAME_PROGRAM"
  # Versions last: with it the game is there.
  for entry in "$unpacked"/StarCraftII/* "$unpacked"/StarCraftII/.[!.]*; do
    if [[ ! -e "$entry" || "${entry##*/}" == Versions ]]; then
      continue
    elif [[ -e "$place/${entry##*/}" ]]; then
      cp -R -- "$entry" "$place/"
    else
      mv -- "$entry" "$place/"
    fi
  done
  rm -rf -- "$place/$(dirname "$GAME_PROGRAM")"
  mkdir -p -- "$place/Versions"
  mv -- "$unpacked"/StarCraftII/Versions/* "$place/Versions/"
  rm -rf -- "$unpacked" "$place/download"
}

install_maps() {
  local folder="$place/Maps/SMAC_Maps" sum name file new=0
  mkdir -p -- "$folder"
  while read -r sum name; do
    [[ -n "$name" ]] || continue
    file="$folder/$name.SC2Map"
    [[ -e "$file" && "$(git_name "$file")" == "$sum" ]] && continue
    if [[ -e "$file" ]]; then
      echo "$file is another map than SMAC's: kept as $file.other"
      mv -f -- "$file" "$file.other"
    fi
    rm -f -- "$file.part"
    download "$MAPS_URL/$name.SC2Map" "$file"
    if [[ "$(git_name "$file.part")" != "$sum" ]]; then
      rm -f -- "$file.part"
      fail "the map $name came damaged; run this again"
    fi
    mv -- "$file.part" "$file"
    new=$((new + 1))
  done <<<"$MAPS"
  echo "maps: $new new, all in $folder"
}

[[ "$(uname -s)" == Linux ]] || code=2 fail "this is for Linux; elsewhere install the game from battle.net"
mkdir -p -- "$place" || fail "cannot write to $place; set SC2PATH to another folder"
place="$(cd -- "$place" && pwd)"
install_game
install_maps
echo "done. Then:"
printf '    export SC2PATH=%q\n' "$place"
echo "    pip install --no-deps -r requirements-sc2.txt"
