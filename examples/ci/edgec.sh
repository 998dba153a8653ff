#!/bin/sh
# Compiles MODEL for this machine and compares it with the artefact of the main branch; both CI examples run it.
#
#   edgec.sh MODEL.onnx BASELINE_FOLDER SUMMARY_FILE
#
# MAX_SLOWDOWN (3%), and DATA, METRIC and MAX_LOSS where accuracy is to be watched, come from the environment.
set -eu
model=$1 baseline=$2 summary=$3
new=artefact
edgec compile "$model" --target host --output "$new" ${DATA:+--data "$DATA"} ${METRIC:+--metric "$METRIC"}
edgec verify "$new"
edgec bench "$new" --runs 50
if [ -n "${DATA:-}" ] && [ -n "${METRIC:-}" ]; then
  edgec eval "$new" --data "$DATA" --metric "$METRIC"
fi
if [ ! -d "$baseline" ]; then
  echo "There is no artefact of the main branch yet: nothing is compared." | tee "$summary"
  exit 0
fi
edgec bench "$baseline" --runs 50 # on the same machine, minutes apart: times of another runner say nothing
status=0
edgec compare "$baseline" "$new" --markdown --max-slowdown "${MAX_SLOWDOWN:-3%}" \
  ${MAX_LOSS:+--max-loss "$MAX_LOSS"} > "$summary" || status=$?
cat "$summary"
exit "$status"
