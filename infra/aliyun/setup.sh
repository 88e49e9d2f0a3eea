#!/usr/bin/env bash
# Makes what s.yaml takes for granted: bucket, roles, log store, queue, alarms.
# Run it again after changes; what exists is left or updated. It needs the
# aliyun CLI (with ossutil and log) signed in, envsubst, and in the environment:
#   FC_ACCOUNT_ID  QA_BUCKET  [QA_REGION]  [QA_LOG_PROJECT]  [QA_CONTACTS]
set -euo pipefail
cd "$(dirname "$0")"

: "${FC_ACCOUNT_ID:?the id of the account}"
: "${QA_BUCKET:?the name of the bucket}"
export QA_REGION="${QA_REGION:-cn-beijing}"
export QA_LOG_PROJECT="${QA_LOG_PROJECT:-eino-qa-logs}"
export QA_CONTACTS="${QA_CONTACTS:-Default Contact Group}"
export FC_ACCOUNT_ID QA_BUCKET

# expand fills a file's variables, and no others: policies have '$' of their own.
# shellcheck disable=SC2016 # envsubst wants the names themselves
expand() { envsubst '$QA_BUCKET $QA_REGION $QA_LOG_PROJECT $QA_CONTACTS $FC_ACCOUNT_ID' <"$1"; }

# try runs a command whose only expected failure is "exists already".
try() {
	local out
	if ! out=$("$@" 2>&1); then
		case "$out" in
		*AlreadyExist*) return 0 ;;
		esac
		printf '%s\n' "$out" >&2
		return 1
	fi
}

echo "bucket $QA_BUCKET"
try aliyun oss mb "oss://$QA_BUCKET" --region "$QA_REGION" --acl private
# A versioned bucket ignores create-if-absent, and then acknowledged writes are
# lost; the functions refuse one at start, and so do we.
if aliyun oss bucket-versioning --method get "oss://$QA_BUCKET" --region "$QA_REGION" | grep -qiE 'status:[[:space:]]*(enabled|suspended)'; then
	echo "oss://$QA_BUCKET keeps versions: use another bucket" >&2
	exit 1
fi
aliyun oss lifecycle --method put "oss://$QA_BUCKET" lifecycle.xml --region "$QA_REGION"

for fn in chat admin health ingest backup; do
	echo "role eino-qa-$fn"
	try aliyun ram CreateRole --RoleName "eino-qa-$fn" --AssumeRolePolicyDocument "$(cat roles/trust.json)"
	policy=$(expand "roles/$fn.json")
	if ! try aliyun ram CreatePolicy --PolicyName "eino-qa-$fn" --PolicyDocument "$policy"; then exit 1; fi
	aliyun ram CreatePolicyVersion --PolicyName "eino-qa-$fn" --PolicyDocument "$policy" --SetAsDefault true --RotateStrategy DeleteOldestNonDefaultVersionWhenLimitExceeded >/dev/null
	try aliyun ram AttachPolicyToRole --PolicyType Custom --PolicyName "eino-qa-$fn" --RoleName "eino-qa-$fn"
done

echo "logs $QA_LOG_PROJECT"
try aliyun log create_project --project_name="$QA_LOG_PROJECT" --project_des="Eino QA"
try aliyun log create_logstore --project_name="$QA_LOG_PROJECT" --logstore_name=functions --ttl=30 --shard_count=2
try aliyun log create_dashboard --project="$QA_LOG_PROJECT" --detail="$(cat dashboard.json)"

echo "queue eino-qa-dead"
try aliyun mns-open CreateQueue --region "$QA_REGION" --QueueName eino-qa-dead --MessageRetentionPeriod 604800

echo "alarms"
expand alarms.json | python3 -c '
import json, subprocess, sys
for rule in json.load(sys.stdin):
    args = [x for k, v in rule.items() for x in ("--" + k, str(v))]
    subprocess.run(["aliyun", "cms", "PutResourceMetricRule", *args], check=True, stdout=subprocess.DEVNULL)
'
echo "done; now: make package ARCH=amd64 && make deploy-aliyun"
