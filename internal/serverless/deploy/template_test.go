package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/serverless/aws"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// statement is one of a role.
type statement struct {
	deny               bool
	actions, resources []string
	prefixes           []string // of s3:prefix, for lists
}

// roles returns what each role in t is allowed, inside a VPC.
func roles(t *testing.T, tpl template) map[string][]statement {
	t.Helper()
	m := map[string][]statement{}
	for name, r := range tpl.of("AWS::IAM::Role") {
		if arns := list(r.Properties["ManagedPolicyArns"]); len(arns) > 0 {
			t.Errorf("%s has managed policies %v: they are wider than we need", name, arns)
		}
		for _, p := range list(r.Properties["Policies"]) {
			for _, s := range list(at(p, "PolicyDocument", "Statement")) {
				s = whenVPC(s)
				st := statement{deny: at(s, "Effect") == "Deny"}
				for _, a := range list(at(s, "Action")) {
					st.actions = append(st.actions, text(a))
				}
				for _, res := range list(at(s, "Resource")) {
					st.resources = append(st.resources, text(res))
				}
				for _, p := range list(at(s, "Condition", "StringLikeIfExists", "s3:prefix")) {
					st.prefixes = append(st.prefixes, text(p))
				}
				m[name] = append(m[name], st)
			}
		}
	}
	return m
}

// allowed evaluates the statements as IAM does: '*' matches anything, and what
// denies wins.
func allowed(sts []statement, action, resource string) bool {
	said := func(deny bool) bool {
		return slices.ContainsFunc(sts, func(s statement) bool {
			return s.deny == deny && slices.ContainsFunc(s.actions, func(a string) bool { return like(a, action) }) &&
				slices.ContainsFunc(s.resources, func(r string) bool { return like(r, resource) })
		})
	}
	return said(false) && !said(true)
}

// like matches IAM's patterns: '*' is any text, '/' included.
func like(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// rights says who may read, write and delete below a prefix; r, w and d.
var rights = map[string]map[string]string{
	"t/acme/0001/x":     {"Chat": "rw", "Admin": "rw", "Health": "", "Ingest": "rw", "Backup": "rwd"},
	"t/_control/0001/x": {"Chat": "r", "Admin": "rw", "Health": "", "Ingest": "r", "Backup": "rwd"},
	"keys/acme/1":       {"Chat": "rw", "Admin": "rw", "Health": "", "Ingest": "rw", "Backup": "rw"},
	"control/0001":      {"Chat": "r", "Admin": "rw", "Health": "r", "Ingest": "r", "Backup": "r"},
	"control/backup/a":  {"Chat": "r", "Admin": "rw", "Health": "r", "Ingest": "r", "Backup": "rwd"},
	"inbox/acme/job1":   {"Chat": "", "Admin": "rw", "Health": "", "Ingest": "rwd", "Backup": "rd"},
	"export/acme/x":     {"Chat": "", "Admin": "rw", "Health": "", "Ingest": "", "Backup": "rwd"},
	"selftest/x":        {"Chat": "rwd", "Admin": "rwd", "Health": "rwd", "Ingest": "rwd", "Backup": "rwd"},
	"something-else":    {"Chat": "", "Admin": "", "Health": "", "Ingest": "", "Backup": ""},
	"tenants/acme/not":  {"Chat": "", "Admin": "", "Health": "", "Ingest": "", "Backup": ""},
}

func TestTheTemplate(t *testing.T) {
	t.Parallel()
	tpl := check(t, root+"/template.yaml")

	t.Run("roles reach exactly the prefixes they need", func(t *testing.T) {
		rs := roles(t, tpl)
		for key, want := range rights {
			for fn, w := range want {
				got := ""
				for _, a := range []struct{ letter, action string }{{"r", "s3:GetObject"}, {"w", "s3:PutObject"}, {"d", "s3:DeleteObject"}} {
					if allowed(rs[fn+"Role"], a.action, "arn:aws:s3:::BUCKET/"+key) {
						got += a.letter
					}
				}
				if got != w {
					t.Errorf("%s may %q on %s, want %q", fn, got, key, w)
				}
			}
		}
	})
	t.Run("no role has a wildcard for an action, or reaches everything", func(t *testing.T) { noWildcards(t, roles(t, tpl)) })
	t.Run("lists are bounded to prefixes", func(t *testing.T) {
		for name, sts := range roles(t, tpl) {
			for _, s := range sts {
				if slices.Contains(s.actions, "s3:ListBucket") && (len(s.prefixes) == 0 || slices.Contains(s.prefixes, "*")) {
					t.Errorf("%s may list the whole bucket", name)
				}
			}
		}
	})
	t.Run("functions", func(t *testing.T) { functions(t, tpl) })
	t.Run("routes", func(t *testing.T) { routes(t, tpl) })
	t.Run("bucket", func(t *testing.T) { bucket(t, tpl) })
	t.Run("queues and schedules", func(t *testing.T) { queues(t, tpl) })
	t.Run("network and alarms", func(t *testing.T) { network(t, tpl) })
}

func noWildcards(t *testing.T, rs map[string][]statement) {
	if len(rs) < 5 {
		t.Fatalf("%d roles", len(rs))
	}
	for name, sts := range rs {
		for _, s := range sts {
			for _, a := range s.actions {
				if strings.Contains(a, "*") {
					t.Errorf("%s: action %q", name, a)
				}
			}
			// What takes no resource: network interfaces and, when deploying,
			// networks and a random password.
			noResource := func(a string) bool { return strings.HasPrefix(a, "ec2:") || a == "secretsmanager:GetRandomPassword" }
			if slices.Contains(s.resources, "*") && slices.ContainsFunc(s.actions, func(a string) bool { return !noResource(a) }) {
				t.Errorf("%s: %v on every resource", name, s.actions)
			}
		}
	}
}

func functions(t *testing.T, tpl template) {
	timeouts := map[string]float64{"ChatFunction": 300, "AdminFunction": 29, "HealthFunction": 10, "IngestFunction": 900, "BackupFunction": 900}
	fns := tpl.of("AWS::Lambda::Function")
	if len(fns) != len(timeouts) {
		t.Errorf("%d functions, want %d", len(fns), len(timeouts))
	}
	for name, f := range fns {
		p := f.Properties
		if p["Runtime"] != "provided.al2023" || p["Handler"] != "bootstrap" || p["Timeout"] != timeouts[name] {
			t.Errorf("%s: %v %v %v s", name, p["Runtime"], p["Handler"], p["Timeout"])
		}
		if want := "ATT:[" + strings.TrimSuffix(name, "Function") + "Role Arn]"; text(p["Role"]) != want {
			t.Errorf("%s has the role %s, want %s", name, text(p["Role"]), want)
		}
		if lg := text(at(p, "LoggingConfig", "LogGroup")); lg != "REF:"+strings.TrimSuffix(name, "Function")+"Logs" {
			t.Errorf("%s logs to %s", name, lg)
		}
		env, _ := at(p, "Environment", "Variables").(map[string]any)
		mode, _ := env["SERVERLESS_INVOKE_MODE"].(string)
		if want := map[bool]string{true: "response_stream"}[name == "ChatFunction"]; mode != want {
			t.Errorf("%s: invoke mode %q, want %q", name, mode, want)
		}
		for _, k := range []string{"DASHSCOPE_API_KEY", "MILVUS_PASSWORD", "ROOT_KEY"} {
			if s, _ := json.Marshal(env[k]); !strings.Contains(string(s), "{{resolve:secretsmanager:") {
				t.Errorf("%s: %s = %s, want it from Secrets Manager", name, k, s)
			}
		}
		if env["SERVER_MODE"] != "release" || !strings.HasPrefix(text(env["STORAGE_URL"]), "s3://BUCKET?region=") {
			t.Errorf("%s: mode %v, store %s", name, env["SERVER_MODE"], text(env["STORAGE_URL"]))
		}
	}
	for name, g := range tpl.of("AWS::Logs::LogGroup") {
		if g.Properties["RetentionInDays"] == nil {
			t.Errorf("%s keeps logs for ever", name)
		}
	}
}

// routes holds that what streams is set up to stream on both sides.
func routes(t *testing.T, tpl template) {
	api := tpl.Resources["Api"].Properties
	paths, _ := at(api, "Body", "paths").(map[string]any)
	want := map[string]string{
		"/chat": "Chat", "/v1/{proxy+}": "Chat", "/api/v1/sessions": "Chat", "/api/v1/sessions/{proxy+}": "Chat",
		"/models": "Chat", "/models/{proxy+}": "Chat",
		"/health": "Health", "/health/{proxy+}": "Health", "/": "Admin", "/{proxy+}": "Admin",
	}
	if len(paths) != len(want) {
		t.Errorf("%d paths, want %d", len(paths), len(want))
	}
	for p, methods := range paths {
		takes := slices.Sorted(maps.Keys(methods.(map[string]any)))
		wantMethods := []string{"x-amazon-apigateway-any-method"}
		if want[p] == "Health" {
			wantMethods = []string{"get", "head"} // a route for GET alone answers HEAD with 403
		}
		if !slices.Equal(takes, wantMethods) {
			t.Errorf("%s takes %v, want %v", p, takes, wantMethods)
		}
		for _, m := range methods.(map[string]any) {
			in := at(m, "x-amazon-apigateway-integration")
			uri := text(at(in, "uri"))
			if !strings.Contains(uri, "${"+want[p]+"Function.Arn}") {
				t.Errorf("%s goes to %s, want %s", p, uri, want[p])
			}
			streams := at(in, "responseTransferMode") == "STREAM" && strings.HasSuffix(uri, "/response-streaming-invocations")
			if streams != (want[p] == "Chat") {
				t.Errorf("%s streams: %v", p, streams)
			}
			if ms, _ := at(in, "timeoutInMillis").(float64); streams && ms != 300000 {
				t.Errorf("%s ends after %v ms", p, ms)
			}
		}
	}
	types := list(at(api, "Body", "x-amazon-apigateway-binary-media-types"))
	if types == nil {
		types = list(api["BinaryMediaTypes"])
	}
	if fmt.Sprint(types) != "[*/*]" {
		t.Errorf("binary types %v: base64 replies would arrive as text", types)
	}
}

func bucket(t *testing.T, tpl template) {
	b := tpl.Resources["DataBucket"].Properties
	for _, k := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
		if at(b, "PublicAccessBlockConfiguration", k) != true {
			t.Errorf("%s is off", k)
		}
	}
	if at(b, "VersioningConfiguration") != nil {
		t.Error("versions of objects are kept: the log is its own history")
	}
	expiring := 0
	for _, r := range list(at(b, "LifecycleConfiguration", "Rules")) {
		p, has := at(r, "Prefix").(string)
		deletes := at(r, "ExpirationInDays") != nil || at(r, "NoncurrentVersionExpiration") != nil || at(r, "Transitions") != nil
		if deletes && (!has || strings.HasPrefix("t/", p) || strings.HasPrefix("control/", p) || strings.HasPrefix(p, "t/") || strings.HasPrefix(p, "control/")) {
			t.Errorf("rule %v expires the log", at(r, "Id"))
		}
		if deletes {
			expiring++
		}
	}
	if expiring < 3 {
		t.Errorf("%d expiring rules, want inbox, export and selftest", expiring)
	}
	for _, q := range list(at(b, "NotificationConfiguration", "QueueConfigurations")) {
		rules := list(at(q, "Filter", "S3Key", "Rules"))
		if len(rules) != 1 || at(rules[0], "Name") != "prefix" || at(rules[0], "Value") != "inbox/" {
			t.Errorf("notification filter %v, want inbox/ only", rules)
		}
	}
}

func queues(t *testing.T, tpl template) {
	q := tpl.Resources["IngestQueue"].Properties
	timeout, _ := tpl.Resources["IngestFunction"].Properties["Timeout"].(float64)
	if v, _ := q["VisibilityTimeout"].(float64); v < 6*timeout {
		t.Errorf("visibility %v s for a function of %v s, want six times as much", v, timeout)
	}
	if at(q, "RedrivePolicy", "deadLetterTargetArn") == nil {
		t.Error("no dead letters")
	}
	for name, m := range tpl.of("AWS::Lambda::EventSourceMapping") {
		if fmt.Sprint(m.Properties["FunctionResponseTypes"]) != "[ReportBatchItemFailures]" {
			t.Errorf("%s: %v", name, m.Properties["FunctionResponseTypes"])
		}
	}
	tasks := map[string]bool{}
	for name, s := range tpl.of("AWS::Scheduler::Schedule") {
		target := s.Properties["Target"]
		in := strings.NewReplacer("<aws.scheduler.schedule-arn>", "arn:x:schedule/y", "<aws.scheduler.scheduled-time>", "2026-01-01T00:00:00Z").Replace(text(at(target, "Input")))
		got := ticks(t, []byte(in))
		if len(got) != 1 || got[0].Time.IsZero() || got[0].Name != "arn:x:schedule/y" {
			t.Errorf("%s sends %s, understood as %+v", name, in, got)
			continue
		}
		tasks[got[0].Task] = true
		if at(target, "DeadLetterConfig", "Arn") == nil {
			t.Errorf("%s has no dead letters", name)
		}
	}
	if len(tasks) != 2 || !tasks["sweep"] || !tasks["backup"] {
		t.Errorf("tasks %v", tasks)
	}
}

// ticks runs an event through Lambda's adapter.
func ticks(t *testing.T, raw []byte) (got []function.ScheduleEvent) {
	t.Helper()
	a := aws.New(function.Config{}, function.Handlers{Schedule: func(_ context.Context, s function.ScheduleEvent) error {
		got = append(got, s)
		return nil
	}})
	if _, err := a.Handle(t.Context(), raw); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
	return got
}

func network(t *testing.T, tpl template) {
	sg := tpl.Resources["FunctionSecurityGroup"].Properties
	ports := []string{}
	for _, e := range list(sg["SecurityGroupEgress"]) {
		ports = append(ports, text(at(e, "ToPort"))+" "+text(at(e, "CidrIp")))
	}
	if len(list(sg["SecurityGroupIngress"])) > 0 || !slices.Contains(ports, "REF:MilvusPort REF:MilvusCidr") || !slices.Contains(ports, "443 0.0.0.0/0") || len(ports) != 2 {
		t.Errorf("security group lets out %v", ports)
	}
	for _, e := range tpl.of("AWS::EC2::VPCEndpoint") {
		if e.Properties["VpcEndpointType"] != "Gateway" || !strings.HasSuffix(text(e.Properties["ServiceName"]), ".s3") {
			t.Errorf("endpoint %v", e.Properties)
		}
	}
	watched := map[string]bool{}
	for _, a := range tpl.of("AWS::CloudWatch::Alarm") {
		for _, d := range list(a.Properties["Dimensions"]) {
			watched[path.Base(text(at(d, "Value")))+" "+text(a.Properties["MetricName"])] = true
		}
	}
	for _, fn := range []string{"Chat", "Admin", "Health", "Ingest", "Backup"} {
		for _, m := range []string{"Errors", "Throttles"} {
			if !watched["REF:"+fn+"Function "+m] {
				t.Errorf("no alarm on %s of %s", m, fn)
			}
		}
	}
	for _, q := range []string{"IngestDeadLetters", "ScheduleDeadLetters"} {
		if !watched["ATT:["+q+" QueueName] ApproximateNumberOfMessagesVisible"] {
			t.Errorf("no alarm on %s: %v", q, watched)
		}
	}
}

func TestTheOtherTemplates(t *testing.T) {
	t.Parallel()
	tpl := check(t, root+"/infra/aws/deploy-role.yaml")
	rs := roles(t, tpl)
	for name, sts := range rs {
		for _, s := range sts {
			for _, a := range s.actions {
				if strings.Contains(a, "*") {
					t.Errorf("%s: action %q", name, a)
				}
			}
		}
	}
	if allowed(rs["Role"], "s3:DeleteObject", "arn:aws:s3:::${StackPrefix}data/t/x") || allowed(rs["Role"], "s3:DeleteBucket", "arn:aws:s3:::${StackPrefix}data") {
		t.Error("who deploys may delete the data")
	}
	dash := check(t, root+"/infra/aws/dashboard.yaml")
	var body struct{ Widgets []map[string]any }
	raw, _ := at(dash.Resources["Dashboard"].Properties, "DashboardBody", "Fn::Sub").(string)
	if err := json.Unmarshal([]byte(raw), &body); err != nil || len(body.Widgets) < 6 {
		t.Errorf("dashboard: %d widgets, %v", len(body.Widgets), err)
	}
}

func TestPatternsMatchAsInIAM(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "x/y", true},
		{"s3:*", "s3:GetObject", true},
		{"b/t/*", "b/t/x/y", true},
		{"b/t/*", "b/tx", false},
		{"*t*x", "a/t/b/x", true},
		{"*t*x", "a/t/b/y", false},
	} {
		if got := like(tt.pattern, tt.s); got != tt.want {
			t.Errorf("like(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
	wide := []statement{{actions: []string{"s3:*"}, resources: []string{"*"}}}
	if !allowed(wide, "s3:DeleteObject", "arn:aws:s3:::BUCKET/t/x") {
		t.Error("a wide policy is not seen as one")
	}
	if allowed(append(wide, statement{deny: true, actions: []string{"s3:DeleteObject"}, resources: []string{"*/t/*"}}), "s3:DeleteObject", "arn:aws:s3:::BUCKET/t/x") {
		t.Error("what is denied is allowed")
	}
}
