#!/bin/bash
# test/cpu.sh [base]
#
# Every CPU and every compiler gives the same answer.  The tests of kernels,
# attention, formulas and golden rows run on the core as other compilers build
# it, for other CPUs too, and on the objects of the extension itself; qemu-user
# emulates CPUs with more or with fewer instructions.  The checksum over all
# logits is the same everywhere.
# "base" adds the rows of the large model where no CPU is emulated, which takes
# minutes.  Prints TAP.  What lacks its compiler or qemu is skipped;
# "tools/install-packages cross" installs them.

set -eu
cd "$(dirname "$0")/.."
build=$(cd "${BUILD_DIR:-.}" && pwd)
with_base=${1-}
tests=0 failures=0

# Checksums of the logits of test/golden/forward_*.jsonl, by version of the
# arithmetic.  If one changes, raise the version, which gives models
# other names: indexes and columns are made of what a name stood for.
arithmetic=$(sed -n 's/^#define SST_ARITHMETIC //p' src/core/packed.h)
declare -A checksum=(
	[1-tiny-fp32]=b1c6d158b41f0a23 [1-tiny-int8]=266ce10f08be21e9
	[1-base-fp32]=29d1a08276a6fb6a [1-base-int8]=d5a746ccf1f0ee23
	[2-tiny-fp32]=b1c6d158b41f0a23 [2-tiny-int8]=76ec338ea24dd25b
	[2-base-fp32]=29d1a08276a6fb6a [2-base-int8]=debee73b250acdad
	[3-tiny-fp32]=b1c6d158b41f0a23 [3-tiny-int8]=06fc1f41a728374d
	[3-base-fp32]=29d1a08276a6fb6a [3-base-int8]=8d0c0f17ecdf4420
)

tmp=$(mktemp -d "${TMPDIR:-/tmp}/sst-cpu.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# ok NAME COMMAND...: one line of TAP, by COMMAND's exit status.
ok()
{
	tests=$((tests + 1))
	if "${@:2}"; then
		echo "ok $tests - $1"
	else
		echo "not ok $tests - $1"
		failures=$((failures + 1))
	fi
}

# have NAME PROGRAM...: are they all there?  If not, NAME is skipped.
have()
{
	local program
	for program in "${@:2}"; do
		command -v "$program" >/dev/null || {
			ok "$1 # SKIP there is no $program" true
			return 1
		}
	done
}

# --- Builds ---

# build_in NAME VARIABLE=VALUE...: the test programs, in a folder of their own.
# Its path to the source folder has no spaces, whatever that folder is called.
build_in()
{
	local folder=$build/host/cpu/$1
	mkdir -p "$folder"
	# shellcheck disable=SC2016  # make's own variable
	ok "builds: $1" make -s -C "$folder" -f "$(realpath --relative-to="$folder" .)/Makefile" SANITIZE= \
		'SANITIZED_CORE=$(CORE:%=host/%)' "${@:2}" \
		host/test/{kernels,attention,amx,formulas,damaged,golden_forward,tokenizer,golden_tokenizer}
}

# build_foreign NAME ARCH CC: statically, so that qemu needs no libraries.
build_foreign()
{
	local folder=$build/host/cpu/libraries-$2
	test/foreign-libraries "$2" "$folder" >"$tmp/apt" 2>&1 || {
		cat "$tmp/apt"
		ok "$1 # SKIP no libraries for $2" true
		return 1
	}
	build_in "$1" CC="$3" UTF8PROC_CFLAGS="-I../libraries-$2/root/usr/include" \
		HOST_LIBS="-static $(find "$folder/root" -name '*.a' -printf "../libraries-$2/root/%P ") -lm"
}

# --- Tests ---

make_models()
{
	local precision folder
	"$build/host/tools/synthetic" "$tmp/odd" 2,40,5,56,70,300,3
	"$build/host/tools/synthetic" "$tmp/tiny" 2,64,4,128,128,30522,2
	[ -z "$with_base" ] || "$build/host/tools/synthetic" "$tmp/base" 6,768,12,3072,512,30522,2
	for precision in fp32 int8; do
		for folder in "$tmp"/odd "$tmp"/tiny ${with_base:+"$tmp"/base}; do
			"$build/distilsst-pack" "$folder" "$folder-$precision.dsst" --precision "$precision" >/dev/null
		done
	done
	"$build/distilsst-pack" model/builtin "$tmp/builtin.dsst" --precision int8 >/dev/null # as it is installed
	head -n 1 test/golden/docs.jsonl >"$tmp/builtin.jsonl"
}

# golden MODEL PRECISION [EMULATOR...] PROGRAM
golden()
{
	local expected=${checksum[$arithmetic-$1-$2]}
	"${@:3}" "$tmp/$1-$2.dsst" "test/golden/forward_$1.jsonl" >"$tmp/out" || failures=$((failures + 1))
	cat "$tmp/out"
	ok "$1, $2: the checksum over all logits is $expected" grep -q "^# logits of .*: $expected\$" "$tmp/out"
}

tested_up_to() { [ "$(sed -n 's/^ok .* - \(.*\), 60 rows in one batch.*/\1/p' "$tmp/out" | tail -n 1)" = "$1" ]; }

# run_on LEVEL FOLDER [EMULATOR...]: runs the programs in FOLDER, whose best
# kernels must be LEVEL's; '' if that depends on this machine.
run_on()
{
	local level=$1 folder=$2 emulator=("${@:3}")
	echo "# ${folder#"$build/host/"} ${emulator[*]}"
	ok "kernels end well" "${emulator[@]}" "$folder/kernels"
	ok "attention ends well" "${emulator[@]}" "$folder/attention"
	ok "formulas end well" "${emulator[@]}" "$folder/formulas"
	ok "AMX, emulated, ends well" "${emulator[@]}" "$folder/amx" "$tmp/odd-int8.dsst"
	ok "damaged files end well" "${emulator[@]}" "$folder/damaged" "$tmp/odd-fp32.dsst"
	golden tiny fp32 "${emulator[@]}" "$folder/golden_forward"
	[ -z "$level" ] || ok "kernels up to $level were tested" tested_up_to "$level"
	golden tiny int8 "${emulator[@]}" "$folder/golden_forward"
	ok "the built-in model's vectors end well" "${emulator[@]}" "$folder/golden_forward" "$tmp/builtin.dsst" "$tmp/builtin.jsonl"
	if [ -n "$with_base" ] && [ ${#emulator[@]} = 0 ]; then
		golden base fp32 "$folder/golden_forward"
		golden base int8 "$folder/golden_forward"
	fi
}

# tokenizer_on FOLDER EMULATOR...: for machines whose char is unsigned (ARM) or
# whose size_t has 32 bits (i386).
tokenizer_on()
{
	ok "the tokenizer ends well" "${@:2}" "$1/tokenizer" model/builtin/vocab.txt
	ok "the tokenizer's rows end well" "${@:2}" "$1/golden_tokenizer" model/builtin/vocab.txt test/golden/{edge,docs,fuzz}.jsonl
}

# Nothing but the AVX kernels has AVX registers or encodings, and these export
# no function that the linker might choose for others.
no_stray_avx()
{
	local object status=0
	for object in "$build"/src/*.o "$build"/src/*/*.o "$build"/src/core/kernels/*.o; do
		case $object in
			*/avx* | */amx*) ! nm --defined-only --extern-only "$object" | grep -i ' [tuwv] ' || status=1 ;;
			*) ! objdump -d "$object" | grep -m 3 -E '%[yz]mm|	v[a-z0-9]+ .*%xmm' || status=1 ;;
		esac
	done
	return $status
}

# refuses MESSAGE COMPILER...: the core does not compile, and says why.
refuses()
{
	! "${@:2}" -std=gnu11 -fsyntax-only -x c src/core/sst.h 2>"$tmp/message" && grep -q -e "$1" "$tmp/message"
}

# --- Main ---

make_models
native=$(uname -m)

run_on '' "$build/host/test/so"
[ "$native" != x86_64 ] || ok "no AVX outside its kernels" no_stray_avx
if [ "$native" = x86_64 ] && have "the extension's objects on older CPUs" qemu-x86_64; then
	run_on c "$build/host/test/so" qemu-x86_64 -cpu qemu64
	run_on avx2 "$build/host/test/so" qemu-x86_64 -cpu Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid
fi
build_in gcc-O3 HOST_OPTIMIZE=-O3
run_on '' "$build/host/cpu/gcc-O3/host/test"
if have clang clang; then
	build_in clang CC=clang
	run_on '' "$build/host/cpu/clang/host/test"
	ok "big-endian machines are refused" refuses little-endian clang --target=s390x-linux-gnu -ffreestanding
	ok "x87 arithmetic is refused" refuses mfpmath=sse clang --target=i686-linux-gnu -ffreestanding
fi
ok "-ffast-math is refused" refuses ffast-math gcc -ffast-math
if have i386 i686-linux-gnu-gcc qemu-i386 && build_foreign i386 i386 i686-linux-gnu-gcc; then
	run_on c "$build/host/cpu/i386/host/test" qemu-i386
	tokenizer_on "$build/host/cpu/i386/host/test" qemu-i386
fi
if have aarch64 aarch64-linux-gnu-gcc qemu-aarch64 && build_foreign aarch64 arm64 aarch64-linux-gnu-gcc; then
	run_on neon "$build/host/cpu/aarch64/host/test" qemu-aarch64 -cpu cortex-a53
	run_on neondot "$build/host/cpu/aarch64/host/test" qemu-aarch64 -cpu neoverse-n1
	run_on neoni8mm "$build/host/cpu/aarch64/host/test" qemu-aarch64 -cpu max
	tokenizer_on "$build/host/cpu/aarch64/host/test" qemu-aarch64
	if have "aarch64 by clang" clang && build_foreign aarch64-clang arm64 "clang --target=aarch64-linux-gnu"; then
		run_on neoni8mm "$build/host/cpu/aarch64-clang/host/test" qemu-aarch64 -cpu max
	fi
fi
echo "1..$tests"
[ $failures = 0 ]
