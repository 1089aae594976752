#!/bin/bash
# test/isa.sh
#
# pg_regress with lower CPU families than this machine's best: one expected/
# for all.  Plain C takes minutes for arrays and batch and leaves them out.
# Called by test/run, which sets $make and $tmp.

set -eu
cd "$(dirname "$0")/.."

# regress ISA [VARIABLE=VALUE]
regress()
{
	echo "# distilsst.isa = $1"
	# shellcheck disable=SC2154,SC2086  # $make is a command and its arguments
	test/scratch -o distilsst.isa="$1" $make installcheck EXTRA_REGRESS_OPTS="--outputdir=$tmp" "${@:2}" || {
		cat "$tmp/regression.diffs"
		exit 1
	}
}

case $(uname -m) in
	x86_64) lower='avx2 avx512' ;;
	aarch64) lower=neon ;;
	*) lower= ;;
esac
regress c REGRESS='classify model parallel tokens'
for isa in $lower; do
	regress "$isa"
done
