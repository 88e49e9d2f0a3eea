package e2e

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// gateways say which function each deployed gateway sends a path to, as
// template.yaml and s.yaml have it: patterns end with '*' where they take
// everything below.
var gateways = sync.OnceValues(func() (map[string]map[string]string, error) {
	var tpl struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Events map[string]struct {
					Type       string `yaml:"Type"`
					Properties struct {
						Path string `yaml:"Path"`
					} `yaml:"Properties"`
				} `yaml:"Events"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := readYAML("../../template.yaml", &tpl); err != nil {
		return nil, err
	}
	to := map[string]map[string]string{"lambda": {}, "fc": {}}
	for name, r := range tpl.Resources {
		for _, ev := range r.Properties.Events {
			if r.Type == "AWS::Serverless::Function" && ev.Type == "Api" {
				to["lambda"][strings.ReplaceAll(ev.Properties.Path, "{proxy+}", "*")] = strings.ToLower(strings.TrimSuffix(name, "Function"))
			}
		}
	}
	var s struct {
		Resources struct {
			Domain struct {
				Props struct {
					RouteConfig struct {
						Routes []struct {
							Path         string `yaml:"path"`
							FunctionName string `yaml:"functionName"`
						} `yaml:"routes"`
					} `yaml:"routeConfig"`
				} `yaml:"props"`
			} `yaml:"domain"`
		} `yaml:"resources"`
	}
	if err := readYAML("../../s.yaml", &s); err != nil {
		return nil, err
	}
	for _, r := range s.Resources.Domain.Props.RouteConfig.Routes {
		to["fc"][r.Path] = strings.TrimPrefix(r.FunctionName, "eino-qa-")
	}
	return to, nil
})

// readYAML reads a template: its variables in braces, and CloudFormation's
// functions, are no YAML that we need.
func readYAML(file string, v any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	raw = regexp.MustCompile(`\$\{[^}]*\}|!(Ref|Sub|If|GetAtt|Equals|Not|Or|And|Join|Select|Cidr|GetAZs|Condition)\b`).ReplaceAll(raw, []byte("x"))
	return yaml.Unmarshal(raw, v)
}

// function is where a gateway sends a path: the pattern that is the path
// itself, else the longest that covers it.
func function(to map[string]string, p string) string {
	if fn := to[p]; fn != "" {
		return fn
	}
	for dir := p; dir != "/"; {
		dir = path.Dir(dir)
		if fn := to[path.Join(dir, "*")]; fn != "" {
			return fn
		}
	}
	return ""
}

// route is the function that this cloud's gateway sends a request to.
func (c *cloud) route(target string) string {
	c.t.Helper()
	to, err := gateways()
	if err != nil {
		c.t.Fatal(err)
	}
	gate := "lambda"
	if c.platform == "fc" {
		gate = "fc"
	}
	p, _, _ := strings.Cut(target, "?")
	fn := function(to[gate], p)
	if fn == "" {
		c.t.Fatalf("%s: no function gets %s", gate, p)
	}
	return fn
}

// operation is one method of one path of openapi.json.
type operation struct{ method, path string }

func operations(t *testing.T) (ops []operation) {
	t.Helper()
	raw, err := os.ReadFile("../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for p, methods := range doc.Paths {
		for m := range methods {
			if m == "get" || m == "post" || m == "put" || m == "delete" || m == "patch" {
				ops = append(ops, operation{strings.ToUpper(m), p})
			}
		}
	}
	slices.SortFunc(ops, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	if len(ops) < 40 {
		t.Fatalf("%d operations in openapi.json", len(ops))
	}
	return ops
}

// outline is what of a reply must be the same wherever the route is served:
// its status, what an error says, which fields there are, and which of them
// are empty.
func outline(r reply) map[string]any {
	o := map[string]any{"status": r.status}
	var body map[string]any
	if json.Unmarshal(r.body, &body) != nil {
		return o
	}
	for k, v := range body {
		switch v := v.(type) {
		case []any:
			o[k] = len(v) > 0
		case string:
			o[k] = v != ""
		default:
			o[k] = v != nil
		}
	}
	if m, ok := body["message"].(string); ok {
		o["message"] = m
	}
	return o
}

// TestEveryRouteReachesAFunctionThatServesIt: whatever openapi.json lists is
// answered by the function that the gateways send it to as the one server that
// does everything answers it.
func TestEveryRouteReachesAFunctionThatServesIt(t *testing.T) {
	t.Parallel()
	model := httptest.NewServer(&llmtest.Server{Forgetful: true})
	t.Cleanup(model.Close)
	for _, platform := range []string{"lambda-v2", "fc"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			prepare := func(platform string) *walk {
				w := onFolder(t, platform)
				w.env["DASHSCOPE_BASE_URL"], w.env["DASHSCOPE_API_KEY"] = model.URL+"/compatible-mode/v1", "sk-any"
				if platform == "local" {
					w.local()
				}
				w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
				return w
			}
			whole, w := prepare("local"), prepare(platform)
			for _, op := range operations(t) {
				path := regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(op.path, "nobody")
				var body any
				if op.method == "POST" || op.method == "PUT" {
					body = map[string]string{}
				}
				var rs [2]reply
				for i, w := range []*walk{whole, w} {
					var err error
					if rs[i], err = w.do(op.method, path, body, "X-API-Key", functionKey); err != nil {
						t.Fatalf("%s %s: %v", op.method, path, err)
					}
				}
				want, got := outline(rs[0]), outline(rs[1])
				switch {
				case strings.HasPrefix(path, "/health"): // each process tells of itself
					want, got = map[string]any{"status": 200}, map[string]any{"status": rs[1].status}
				case path == "/metrics": // functions write theirs to the log, and say so
					want = map[string]any{"status": 404, "code": true, "trace_id": true, "message": "this process writes its metrics to the log; there is nothing to scrape"}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %s by %s (-the whole server +this function): %s\n%.300s", op.method, path, w.route(path), diff, rs[1].body)
				}
			}
		})
	}
}
