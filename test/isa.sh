#!/bin/bash
# test/isa.sh
#
# What pg_regress prints of a model's answers with lower CPU families than this
# machine's best: one expected/ for all.  Called by test/run, which sets $make and $tmp.

set -eu
cd "$(dirname "$0")/.."

case $(uname -m) in
	x86_64) lower='avx2 avx512' ;;
	aarch64) lower=neon ;;
	*) lower= ;;
esac
for isa in c $lower; do
	echo "# distilsst.isa = $isa"
	# shellcheck disable=SC2154,SC2086  # $make is a command and its arguments
	test/scratch -o distilsst.isa="$isa" $make installcheck REGRESS='arrays classify model tokens' \
		EXTRA_REGRESS_OPTS="--outputdir=$tmp" || {
		cat "$tmp/regression.diffs"
		exit 1
	}
done
