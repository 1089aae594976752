# bench/server.sh - what the benchmarks of a server share, to be sourced inside test/scratch.
# shellcheck shell=bash

# Every parallel plan is cheap enough; its workers are asked for with max_parallel_workers_per_gather.
export PGOPTIONS='-c client_min_messages=warning -c parallel_setup_cost=0 -c parallel_tuple_cost=0'
PGOPTIONS+=' -c min_parallel_table_scan_size=0'

# shellcheck disable=SC2034  # for the scripts that source this
labels_query="SELECT count(*) FROM reviews WHERE sst2_label(review) = 'POSITIVE'"

query() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" </dev/null; }

# prepared QUERY WORKERS COMMAND...: psql's commands in a new session, with QUERY prepared as "q" for that many parallel workers.
# It is planned as if the leader took part, or else a plan with one worker would never win; but when it runs, the leader does
# not.
prepared()
{
	local query=$1 workers=$2 commands=() command
	shift 2
	for command; do
		commands+=(-c "$command")
	done
	query -c "SET max_parallel_workers_per_gather = $workers" -c "SELECT sst2_label('warm up')" -c "PREPARE q AS $query" \
		-c 'EXPLAIN EXECUTE q' -c 'SET parallel_leader_participation = off' "${commands[@]}"
}

# timed QUERY WORKERS COMMAND...: milliseconds of the query, after the commands.
timed() { prepared "$@" '\timing on' 'EXECUTE q' | awk '$1 == "Time:" { print $2 }'; }

# The short texts. A row a page: the unit that a parallel scan hands out. Without padding all would be in two or three.
load_texts()
{
	query -c 'CREATE TABLE reviews (id serial, review text, padding text)' \
		-c 'ALTER TABLE reviews ALTER padding SET STORAGE PLAIN'
	query -c "\\copy reviews (review) FROM PROGRAM 'bench/texts sst'"
	query -c "UPDATE reviews SET padding = repeat(' ', 5000)" -c 'VACUUM (FULL, ANALYZE) reviews'
}
