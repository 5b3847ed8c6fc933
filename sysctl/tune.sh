#!/usr/bin/env bash
# Sets the host's side of a gateway's throughput from settings.txt.
set -euo pipefail
export LC_ALL=C

# The places are variables so that tests can work on a copy.
PROC=${SLUICE_TUNE_PROC:-/proc}
SYS=${SLUICE_TUNE_SYS:-/sys}
ETC=${SLUICE_TUNE_ETC:-/etc}
STATE=${SLUICE_TUNE_STATE:-/var/lib/sluice/tune}
TABLE=${SLUICE_TUNE_TABLE:-$(dirname "${BASH_SOURCE[0]}")/settings.txt}

dry=false
failed=0
changed=0

usage() {
  cat <<'TEXT'
usage: tune.sh --dry-run [edge|bench|container]   show what apply would change
       tune.sh apply     [edge|bench|container]   change it, and record the old values
       tune.sh undo      [--dry-run]              put the recorded values back

Profiles: edge (default) for a host that serves traffic, bench for measuring,
container for what a container may set of its own network namespace.
What a kernel does not have is left out. Values change at once and are gone
after a restart of the host, except the open-file limits below /etc.
TEXT
}

# note_failure says what could not be done and lets the rest go on.
note_failure() {
  echo "tune.sh: $1" >&2
  failed=$((failed + 1))
}

# current prints a setting's value: of a choice such as "always [madvise]
# never" the chosen word. It fails when the value cannot be read.
current() {
  local text
  [ -f "$1" ] || return 1
  { text=$(<"$1"); } 2>/dev/null || return 1
  if [[ $text =~ \[([^]]+)\] ]]; then
    text=${BASH_REMATCH[1]}
  fi
  printf '%s' "$text"
}

# less compares two whole numbers of any length: some kernels print values
# beyond the shell's arithmetic.
less() {
  [ "${#1}" -lt "${#2}" ] || { [ "${#1}" -eq "${#2}" ] && [[ $1 < $2 ]]; }
}

# target prints what a setting becomes: rule, wanted, current value.
target() {
  local rule=$1 out=() i n
  local -a want have
  read -r -a want <<<"$2"
  read -r -a have <<<"$3"
  for i in "${!want[@]}"; do
    n=${want[i]}
    if [[ ${have[i]:-} =~ ^[0-9]+$ ]]; then
      case $rule in
        min) if less "$n" "${have[i]}"; then n=${have[i]}; fi ;;
        max) if less "${have[i]}" "$n"; then n=${have[i]}; fi ;;
        span)
          if [ "$i" = 0 ] && less "${have[i]}" "$n"; then n=${have[i]}; fi
          if [ "$i" = 1 ] && less "$n" "${have[i]}"; then n=${have[i]}; fi
          ;;
      esac
    fi
    out+=("$n")
  done
  printf '%s' "${out[*]}"
}

# same compares values whatever blanks they have.
same() {
  local -a a b
  read -r -a a <<<"$1"
  read -r -a b <<<"$2"
  [ "${a[*]}" = "${b[*]}" ]
}

# record keeps an old value, the first time only: what undo restores is the
# state before the first apply.
record() { # kind, path, value
  mkdir -p "$STATE"
  if ! grep -qxF -- "$2" <(cut -f 2 "$STATE/state" 2>/dev/null); then
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$STATE/state"
  fi
}

# put writes a value to a file of the kernel. The kernel may refuse.
put() {
  (printf '%s\n' "$2" >"$1") 2>/dev/null
}

# want changes one setting: name, path, new value, reason.
want() {
  local old
  old=$(current "$2") || return 0 # this kernel does not have it
  if same "$old" "$3"; then
    return 0
  fi
  changed=$((changed + 1))
  printf '%s: %s -> %s\n' "$1" "${old//$'\t'/ }" "$3"
  if $dry; then
    printf '    %s\n' "$4"
    return 0
  fi
  record value "$2" "$old"
  put "$2" "$3" || note_failure "$1 could not be set to $3: not permitted here, or refused by the kernel"
}

# want_file makes one file of our own: path, contents, reason.
want_file() {
  local path=$1 dir copy
  if [ -f "$path" ] && [ "$(cat "$path")" = "$2" ]; then
    return 0
  fi
  changed=$((changed + 1))
  printf '%s: to be written\n' "$path"
  if $dry; then
    printf '    %s\n' "$3"
    return 0
  fi
  dir=$(dirname "$path")
  if [ -f "$path" ]; then
    mkdir -p "$STATE"
    copy=$STATE/$(basename "$path")
    [ -e "$copy" ] || cp -p "$path" "$copy"
    record file "$path" "$copy"
  else
    make_dir "$dir" || { note_failure "$dir could not be made"; return 0; }
    record file "$path" ""
  fi
  (printf '%s\n' "$2" >"$path") 2>/dev/null || note_failure "$path could not be written"
}

# make_dir makes a directory and its parents, and records each for undo.
make_dir() {
  [ -d "$1" ] && return 0
  make_dir "$(dirname "$1")" || return 1
  record dir "$1" ""
  mkdir "$1" 2>/dev/null
}

# cpus prints the numbers of the CPUs that are on line.
cpus() {
  local list part
  list=$(current "$SYS/devices/system/cpu/online") || return 0
  for part in ${list//,/ }; do
    seq "${part%-*}" "${part#*-}"
  done
}

# mask prints a CPU mask in the kernel's form: groups of 32 bits, the highest
# first.
mask() {
  local -a groups=(0)
  local cpu i text
  for cpu in "$@"; do
    for ((i = ${#groups[@]}; i <= cpu / 32; i++)); do groups[i]=0; done
    groups[cpu / 32]=$((groups[cpu / 32] | 1 << (cpu % 32)))
  done
  printf -v text '%x' "${groups[${#groups[@]} - 1]}"
  for ((i = ${#groups[@]} - 2; i >= 0; i--)); do
    printf -v text '%s,%08x' "$text" "${groups[i]}"
  done
  printf '%s' "$text"
}

# want_mask is want for a CPU mask; the kernel prints it with leading zeros.
want_mask() {
  local old plain new
  old=$(current "$2") || return 0
  plain=${old//,/}
  new=${3//,/}
  while [[ $plain == 0?* ]]; do plain=${plain#0}; done
  while [[ $new == 0?* ]]; do new=${new#0}; done
  [ "$plain" = "$new" ] || want "$@"
}

# numbered prints the paths of a card's queues in the order of their numbers.
numbered() {
  local path
  for path in "$1"*; do
    [ -e "$path" ] && printf '%s %s\n' "${path##*-}" "$path"
  done | sort -n | cut -d ' ' -f 2-
}

# queues applies rps, xps and spread to each card: rule, reason.
queues() {
  local net i j path
  local -a all list mine
  mapfile -t all < <(cpus)
  [ "${#all[@]}" -gt 1 ] || return 0 # nothing to spread to
  for net in "$SYS"/class/net/*; do
    [ -e "$net/device" ] || continue # no hardware behind it
    case $1 in
      rps)
        mapfile -t list < <(numbered "$net/queues/rx-")
        [ "${#list[@]}" -lt "${#all[@]}" ] || continue
        for path in "${list[@]}"; do
          want_mask "${path#"$SYS/"}/rps_cpus" "$path/rps_cpus" "$(mask "${all[@]}")" "$2"
        done
        ;;
      xps)
        mapfile -t list < <(numbered "$net/queues/tx-")
        [ "${#list[@]}" -gt 1 ] || continue
        for i in "${!list[@]}"; do
          mine=()
          for ((j = i; j < ${#all[@]}; j += ${#list[@]})); do mine+=("${all[j]}"); done
          [ "${#mine[@]}" -gt 0 ] || continue
          want_mask "${list[i]#"$SYS/"}/xps_cpus" "${list[i]}/xps_cpus" "$(mask "${mine[@]}")" "$2"
        done
        ;;
      spread)
        # The card's own interrupts, or those of the virtio device's PCI parent.
        i=0
        for path in $(for j in "$net"/device/msi_irqs/* "$net"/device/../msi_irqs/*; do
          [ -e "$j" ] && basename "$j"
        done | sort -nu); do
          want "irq $path of ${net##*/}" "$PROC/irq/$path/smp_affinity_list" "${all[i % ${#all[@]}]}" "$2"
          i=$((i + 1))
        done
        ;;
    esac
  done
}

apply() { # profile
  local kind key edge bench container rule reason source value path now was=
  if [ -f "$STATE/state" ]; then
    was=$(sed -n 's/^profile\t\([a-z]*\).*/\1/p' "$STATE/state")
  fi
  if [ -n "$was" ] && [ "$was" != "$1" ]; then
    if $dry; then
      echo "profile $was is applied: apply undoes it first"
    else
      undo
      [ "$failed" = 0 ] || return 0
      changed=0
    fi
  fi
  $dry || record_profile "$1"
  while IFS='|' read -r kind key edge bench container rule reason source; do
    [[ $kind == '#'* || -z $kind ]] && continue
    case $1 in
      edge) value=$edge ;;
      bench) value=$bench ;;
      container) value=$container ;;
    esac
    [ "$value" = - ] && continue
    reason="$reason ($source)"
    case $kind in
      sysctl)
        path=$PROC/sys/${key//.//}
        now=$(current "$path") || continue
        want "$key" "$path" "$(target "$rule" "$value" "$now")" "$reason"
        ;;
      sys)
        case $rule in
          rps | xps) queues "$rule" "$reason" ;;
          *)
            # The key is a pattern.
            # shellcheck disable=SC2231
            for path in "$SYS"/$key; do
              want "${path#"$SYS/"}" "$path" "$value" "$reason"
            done
            ;;
        esac
        ;;
      irq) queues "$rule" "$reason" ;;
      limits)
        want_file "$ETC/$key" "# Written by Sluice's tune.sh; tune.sh undo removes it.
* soft nofile $value
* hard nofile $value
root soft nofile $value
root hard nofile $value" "$reason"
        ;;
      systemd)
        want_file "$ETC/$key" "# Written by Sluice's tune.sh; tune.sh undo removes it.
[Service]
LimitNOFILE=$value" "$reason"
        ;;
    esac
  done <"$TABLE"
  if [ "$changed" = 0 ]; then
    echo "nothing to change for profile $1"
  fi
}

record_profile() {
  if ! mkdir -p "$STATE" 2>/dev/null || ! touch "$STATE/state" 2>/dev/null; then
    echo "tune.sh: $STATE cannot be written, and without a record nothing is changed: run it as root, or set SLUICE_TUNE_STATE" >&2
    exit 1
  fi
  grep -q '^profile' "$STATE/state" || printf 'profile\t%s\n' "$1" >>"$STATE/state"
}

undo() {
  local line kind path old
  if [ ! -f "$STATE/state" ]; then
    echo "nothing is recorded in $STATE: nothing to undo"
    return 0
  fi
  while IFS= read -r line; do
    kind=${line%%$'\t'*}
    line=${line#*$'\t'}
    path=${line%%$'\t'*}
    old=${line#*$'\t'}
    case $kind in
      value) undo_value "$path" "$old" ;;
      file) undo_file "$path" "$old" ;;
      dir)
        # What others put there since keeps it.
        $dry || rmdir "$path" 2>/dev/null || true
        ;;
    esac
  done < <(tac "$STATE/state")
  if ! $dry && [ "$failed" = 0 ]; then
    rm -rf "$STATE"
  fi
}

undo_value() {
  local now
  now=$(current "$1") || return 0 # a device that is gone
  [ "$now" = "$2" ] && return 0
  printf '%s: %s -> %s\n' "$1" "${now//$'\t'/ }" "${2//$'\t'/ }"
  $dry && return 0
  put "$1" "$2" || note_failure "$1 could not be set back to $2; the record stays in $STATE"
}

undo_file() {
  if [ -n "$2" ]; then
    echo "$1: back to what it was"
  else
    echo "$1: removed"
  fi
  $dry && return 0
  if [ -n "$2" ]; then
    cp -p "$2" "$1" 2>/dev/null || note_failure "$1 could not be put back; the old one is $2"
  else
    rm -f "$1" 2>/dev/null || note_failure "$1 could not be removed"
  fi
}

command=
profile=edge
for arg in "$@"; do
  case $arg in
    -n | --dry-run) dry=true ;;
    -h | --help) usage; exit 0 ;;
    apply | undo) command=$arg ;;
    edge | bench | container) profile=$arg ;;
    *) echo "tune.sh: $arg is no command and no profile" >&2; usage >&2; exit 2 ;;
  esac
done
if [ -z "$command" ]; then
  $dry || { usage >&2; exit 2; }
  command=apply
fi
case $command in
  apply) apply "$profile" ;;
  undo) undo ;;
esac
if [ "$failed" -gt 0 ]; then
  echo "tune.sh: $failed settings could not be changed" >&2
  exit 1
fi
