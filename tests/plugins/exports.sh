#!/bin/sh
# Fails unless each shared object defines sn_plugin_entry_1 for others, and nothing else.
status=0
for so in "$@"; do
	names=$(nm -D --defined-only "$so" | awk '{ print $3 }')
	if [ "$names" != sn_plugin_entry_1 ]; then
		printf "%s exports: %s\n" "$so" "$names" >&2
		status=1
	fi
done
exit $status
