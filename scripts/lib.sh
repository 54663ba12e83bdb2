# lib.sh - shared by the bash scripts: phases with times, colours only on a terminal, leftovers of tests.
# Source it; it defines functions only.

if [[ -t 1 ]]; then bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'; else bold='' red='' green='' plain=''; fi

phase_names=() phase_results=() phase_seconds=()

# phase NAME COMMAND... - runs it, remembers result and time. Never ends the script: returns the command's code.
phase() {
  local name=$1 start=$SECONDS code=0
  shift
  echo "${bold}== $name${plain}"
  "$@" </dev/null || code=$?
  phase_names+=("$name")
  phase_results+=("$code")
  phase_seconds+=($((SECONDS - start)))
  ((code == 0)) || echo "${red}== $name failed (exit $code)${plain}"
  return "$code"
}

# The table of phases; returns 1 if one failed.
phase_summary() {
  local i failed=0
  echo
  for i in "${!phase_names[@]}"; do
    if ((phase_results[i] == 0)); then
      printf '  %s%-8s%s %5d s  %s\n' "$green" ok "$plain" "${phase_seconds[i]}" "${phase_names[i]}"
    else
      printf '  %s%-8s%s %5d s  %s\n' "$red" FAILED "$plain" "${phase_seconds[i]}" "${phase_names[i]}"
      failed=1
    fi
  done
  return "$failed"
}

psk_namespaces() { ip netns list 2>/dev/null | awk '$1 ~ /^psk-/ {print $1}' | sort; }

# Prints the process id within a name that tests gave: its last number of two or more digits.
owner_of() { grep -oE '[0-9]{2,}' <<<"$1" | tail -1; }

# remove_leftovers BEFORE - removes psk-* namespaces that are not in the list BEFORE, and run-time directories,
# whose owner is gone. Tests put their process id into the name, so what belongs to a running test is left alone.
remove_leftovers() {
  local name owner pid directory mounted
  while read -r name; do
    [[ -n $name ]] || continue
    owner=$(owner_of "$name")
    if [[ -z $owner ]] || kill -0 "$owner" 2>/dev/null; then continue; fi
    echo "removing namespace $name, left by process $owner"
    for pid in $(ip netns pids "$name" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns delete "$name" 2>/dev/null || true
  done < <(comm -13 <(printf '%s\n' "$1" | sort) <(psk_namespaces))
  for directory in /run/psk-*; do
    [[ -d $directory ]] || continue
    owner=$(owner_of "$directory")
    if [[ -z $owner ]] || kill -0 "$owner" 2>/dev/null; then continue; fi
    while read -r mounted; do umount -l "$mounted"; done < <(awk -v d="$directory/" 'index($2, d) == 1 {print $2}' /proc/mounts)
    rm -rf "$directory"
  done
}

jobs_max() { nproc; }
