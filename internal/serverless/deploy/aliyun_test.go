package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/eino-qa/eino-qa/internal/serverless/fc"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// ramRoles reads infra/aliyun/roles as statements, named as the AWS roles are.
func ramRoles(t *testing.T) map[string][]statement {
	t.Helper()
	m := map[string][]statement{}
	for _, fn := range []string{"Chat", "Admin", "Health", "Ingest", "Backup"} {
		raw, err := os.ReadFile(filepath.Join(root, "infra/aliyun/roles", strings.ToLower(fn)+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var p struct {
			Version   string
			Statement []struct {
				Effect           string
				Action, Resource []string
				Condition        map[string]map[string][]string
			}
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil || p.Version != "1" {
			t.Fatalf("%s: version %q, %v", fn, p.Version, err)
		}
		for _, s := range p.Statement {
			if s.Effect != "Allow" && s.Effect != "Deny" {
				t.Errorf("%s: effect %q", fn, s.Effect)
			}
			m[fn+"Role"] = append(m[fn+"Role"], statement{s.Effect == "Deny", s.Action, s.Resource, s.Condition["StringLike"]["oss:Prefix"]})
		}
	}
	return m
}

func TestRolesOfAliyunReachWhatThoseOfAWSDo(t *testing.T) {
	t.Parallel()
	rs := ramRoles(t)
	for key, want := range rights {
		for fn, w := range want {
			got := ""
			for _, a := range []struct{ letter, action string }{{"r", "oss:GetObject"}, {"w", "oss:PutObject"}, {"d", "oss:DeleteObject"}} {
				if allowed(rs[fn+"Role"], a.action, "acs:oss:*:*:${QA_BUCKET}/"+key) {
					got += a.letter
				}
			}
			if got != w {
				t.Errorf("%s may %q on %s, want %q", fn, got, key, w)
			}
		}
	}
	for name, sts := range rs {
		for _, s := range sts {
			for _, a := range s.actions {
				if strings.Contains(a, "*") {
					t.Errorf("%s: action %q", name, a)
				}
				if a == "oss:ListObjects" && (len(s.prefixes) == 0 || slices.Contains(s.prefixes, "*")) {
					t.Errorf("%s may list the whole bucket", name)
				}
			}
			for _, r := range s.resources {
				if r == "*" || strings.HasSuffix(r, "${QA_BUCKET}/*") || strings.HasSuffix(r, ":*") {
					t.Errorf("%s: resource %q", name, r)
				}
			}
		}
	}
}

func TestOtherFilesOfAliyun(t *testing.T) {
	t.Parallel()
	for _, f := range []string{"alarms.json", "dashboard.json", "roles/trust.json"} {
		raw, err := os.ReadFile(filepath.Join(root, "infra/aliyun", f))
		if err != nil || !json.Valid(raw) {
			t.Errorf("%s is no JSON (%v)", f, err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(root, "infra/aliyun/alarms.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rules []map[string]any
	if err := json.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	for _, fn := range []string{"chat", "admin", "health", "ingest", "backup"} {
		if !slices.ContainsFunc(rules, func(r map[string]any) bool { return r["RuleId"] == "eino-qa-"+fn+"-errors" }) {
			t.Errorf("no alarm on errors of %s", fn)
		}
	}
	raw, err = os.ReadFile(filepath.Join(root, "infra/aliyun/lifecycle.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var lc struct {
		Rules []struct {
			ID, Prefix string
			Expiration struct{ Days int }
		} `xml:"Rule"`
	}
	if err := xml.Unmarshal(raw, &lc); err != nil || len(lc.Rules) != 3 {
		t.Fatalf("lifecycle: %d rules, %v", len(lc.Rules), err)
	}
	for _, r := range lc.Rules {
		if !slices.Contains([]string{"inbox/", "export/", "selftest/"}, r.Prefix) || r.Expiration.Days < 1 {
			t.Errorf("rule %s expires %q after %d days", r.ID, r.Prefix, r.Expiration.Days)
		}
	}
}

// TestTriggersSayWhatTheFunctionsUnderstand runs the payloads of s.yaml through
// Function Compute's adapter; the rest of s.yaml is checked in tools/fcspec.
func TestTriggersSayWhatTheFunctionsUnderstand(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(root + "/s.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Resources map[string]struct {
			Props struct {
				Triggers []struct {
					TriggerName   string `yaml:"triggerName"`
					TriggerType   string `yaml:"triggerType"`
					TriggerConfig struct {
						Payload string   `yaml:"payload"`
						Methods []string `yaml:"methods"`
					} `yaml:"triggerConfig"`
				}
			}
		}
	}
	// Variables in braces are no flow maps to the parser.
	raw = regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAll(raw, []byte("x"))
	if err := yaml.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	var tasks []string
	a := fc.New(function.Config{}, function.Handlers{Schedule: func(_ context.Context, ev function.ScheduleEvent) error {
		tasks = append(tasks, ev.Task)
		return nil
	}})
	web := 0
	for name, r := range s.Resources {
		for _, tr := range r.Props.Triggers {
			if tr.TriggerType == "http" {
				web++
				if m := tr.TriggerConfig.Methods; !slices.Contains(m, "HEAD") || !slices.Contains(m, "GET") { // as monitors ask
					t.Errorf("%s takes %v, want GET and HEAD", name, m)
				}
			}
			if tr.TriggerType != "timer" {
				continue
			}
			ev, _ := json.Marshal(map[string]string{"triggerTime": "2026-01-01T00:00:00Z", "triggerName": tr.TriggerName, "payload": tr.TriggerConfig.Payload})
			if _, err := a.Invoke(t.Context(), ev); err != nil {
				t.Errorf("%s: %v", tr.TriggerName, err)
			}
		}
	}
	if web != 3 {
		t.Errorf("%d functions have an HTTP trigger, want chat, admin and health", web)
	}
	slices.Sort(tasks)
	if !slices.Equal(tasks, []string{"backup", "sweep"}) {
		t.Errorf("tasks %v", tasks)
	}
}
