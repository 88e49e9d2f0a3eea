package fcspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	fc "github.com/alibabacloud-go/fc-20230330/v4/client"
	"github.com/goccy/go-yaml"
)

// spec is s.yaml.
type spec struct {
	Edition   string                    `json:"edition"`
	Name      string                    `json:"name"`
	Access    string                    `json:"access"`
	Vars      map[string]any            `json:"vars"`
	Resources map[string]map[string]any `json:"resources"`
}

// env is what somebody who deploys has set.
var env = map[string]string{
	"FC_ACCOUNT_ID": "1234567890", "QA_BUCKET": "eino-qa-data", "QA_VPC": "vpc-1", "QA_VSWITCH": "vsw-1",
	"QA_SECURITY_GROUP": "sg-1", "ROOT_KEY": strings.Repeat("k", 48), "QA_DOMAIN": "qa.example.com",
	"MILVUS_HOST": "192.168.0.10", "DASHSCOPE_API_KEY": strings.Repeat("s", 64),
}

var (
	variable = regexp.MustCompile(`\$\{([^}]*)\}`)
	envCall  = regexp.MustCompile(`^env\('([A-Z0-9_]+)'(?:,\s*'([^']*)')?\)$`)
)

// resolve replaces ${env('X','default')} and ${vars.x}, as Serverless Devs does.
func resolve(t *testing.T, s string, vars map[string]any) string {
	t.Helper()
	for range 5 { // variables in variables
		next := variable.ReplaceAllStringFunc(s, func(m string) string {
			in := strings.TrimSpace(m[2 : len(m)-1])
			if c := envCall.FindStringSubmatch(in); c != nil {
				if v, ok := env[c[1]]; ok {
					return v
				}
				if !strings.Contains(in, ",") {
					t.Errorf("%s has no default and no value", m)
				}
				return c[2]
			}
			if name, ok := strings.CutPrefix(in, "vars."); ok {
				if v, ok := vars[name].(string); ok {
					return v
				}
			}
			t.Errorf("%s names nothing", m)
			return ""
		})
		if next == s {
			return s
		}
		s = next
	}
	return s
}

func resolveAll(t *testing.T, v any, vars map[string]any) any {
	switch v := v.(type) {
	case string:
		return resolve(t, v, vars)
	case []any:
		for i := range v {
			v[i] = resolveAll(t, v[i], vars)
		}
	case map[string]any:
		for k := range v {
			v[k] = resolveAll(t, v[k], vars)
		}
	}
	return v
}

func load(t *testing.T, raw []byte) spec {
	t.Helper()
	// Over JSON, so that anchors are values of their own afterwards.
	var any map[string]any
	if err := yaml.Unmarshal(raw, &any); err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(any)
	if err != nil {
		t.Fatal(err)
	}
	var s spec
	if err := strict(j, &s); err != nil {
		t.Fatal(err)
	}
	for k, v := range s.Vars {
		if str, ok := v.(string); ok {
			s.Vars[k] = resolve(t, str, s.Vars)
		}
	}
	for _, r := range s.Resources {
		resolveAll(t, r, s.Vars)
	}
	return s
}

// strict decodes and refuses what v has no field for.
func strict(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// into takes key out of m and decodes it strictly.
func into(m map[string]any, key string, v any) error {
	part, ok := m[key]
	if !ok {
		return nil
	}
	delete(m, key)
	j, err := json.Marshal(part)
	if err != nil {
		return err
	}
	if err := strict(j, v); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// trigger is a trigger as fc3 has it: the SDK takes triggerConfig as a string.
type trigger struct {
	TriggerName    string          `json:"triggerName"`
	TriggerType    string          `json:"triggerType"`
	Qualifier      string          `json:"qualifier"`
	SourceArn      string          `json:"sourceArn"`
	InvocationRole string          `json:"invocationRole"`
	TriggerConfig  json.RawMessage `json:"triggerConfig"`
}

// function is one function, decoded.
type function struct {
	fc.CreateFunctionInput
	region, code string
	triggers     []trigger
	retries      *fc.PutAsyncInvokeConfigInput
}

func decode(props map[string]any) (f function, err error) {
	// What is fc3's own and not part of the SDK's input.
	for key, v := range map[string]any{"region": &f.region, "code": &f.code, "triggers": &f.triggers, "asyncInvokeConfig": &f.retries} {
		if err := into(props, key, v); err != nil {
			return f, err
		}
	}
	j, err := json.Marshal(props)
	if err != nil {
		return f, err
	}
	return f, strict(j, &f.CreateFunctionInput)
}

// problems lists what is out of the ranges that fc3's schema (0.1.22) and the
// documentation of Function Compute name.
func (f function) problems() (ps []string) {
	bad := func(format string, args ...any) { ps = append(ps, fmt.Sprintf(format, args...)) }
	runtimes := []string{"custom", "custom.debian10", "custom.debian11", "custom.debian12", "custom-container", "go1"}
	if f.FunctionName == nil || f.Runtime == nil || !slices.Contains(runtimes, *f.Runtime) {
		bad("no name, or no such runtime")
		return ps
	}
	custom := strings.HasPrefix(*f.Runtime, "custom")
	if f.region == "" || f.code == "" || !custom && f.Handler == nil {
		bad("region, code and handler are needed")
	}
	if f.MemorySize == nil || *f.MemorySize%64 != 0 || *f.MemorySize < 128 || *f.MemorySize > 32768 {
		bad("memorySize: a multiple of 64 from 128 to 32768")
	}
	if f.Cpu == nil || *f.Cpu < 0.05 || *f.Cpu > 16 || math.Abs(math.Mod(float64(*f.Cpu)*100+1e-4, 5)) > 1e-3 {
		bad("cpu: a multiple of 0.05 from 0.05 to 16")
	} else if f.MemorySize != nil {
		if r := float64(*f.MemorySize) / 1024 / float64(*f.Cpu); r < 1 || r > 4 {
			bad("%.2f GB for a CPU: FC takes 1 to 4", r)
		}
	}
	if f.DiskSize == nil || *f.DiskSize != 512 && *f.DiskSize != 10240 {
		bad("diskSize: 512 or 10240")
	}
	if f.Timeout == nil || *f.Timeout < 1 || *f.Timeout > 86400 {
		bad("timeout: 1 to 86400; without one it is 3 s")
	}
	if f.InstanceConcurrency != nil && (!custom || *f.InstanceConcurrency < 1 || *f.InstanceConcurrency > 200) {
		bad("instanceConcurrency: 1 to 200, custom runtimes only")
	}
	if f.CustomRuntimeConfig != nil && !custom {
		bad("customRuntimeConfig of a built-in runtime")
	}
	if f.Role == nil || *f.Role != strings.ToLower(*f.Role) {
		bad("role: needed, and lower case, because the tool makes it so")
	}
	size := 0
	for k, v := range f.EnvironmentVariables {
		size += len(k)
		if v != nil {
			size += len(*v)
		}
	}
	if size > 4096 {
		bad("environment variables of %d bytes: at most 4096", size)
	}
	for _, tr := range f.triggers {
		if err := tr.check(); err != nil {
			bad("trigger %s: %v", tr.TriggerName, err)
		}
	}
	if r := f.retries; r != nil {
		if r.MaxAsyncRetryAttempts == nil || *r.MaxAsyncRetryAttempts < 0 || *r.MaxAsyncRetryAttempts > 8 {
			bad("maxAsyncRetryAttempts: 0 to 8")
		}
		if r.MaxAsyncEventAgeInSeconds == nil || *r.MaxAsyncEventAgeInSeconds < 1 || *r.MaxAsyncEventAgeInSeconds > 604800 {
			bad("maxAsyncEventAgeInSeconds: 1 to 604800")
		}
	}
	return ps
}

var every = regexp.MustCompile(`^@every [1-9][0-9]*m$`)

func (tr trigger) check() error {
	switch tr.TriggerType {
	case "http":
		var c fc.HTTPTriggerConfig
		if err := strict(tr.TriggerConfig, &c); err != nil {
			return err
		}
		if c.AuthType == nil || !slices.Contains([]string{"anonymous", "function", "jwt"}, *c.AuthType) || len(c.Methods) == 0 {
			return fmt.Errorf("authType or methods are missing")
		}
	case "timer":
		var c fc.TimerTriggerConfig
		if err := strict(tr.TriggerConfig, &c); err != nil {
			return err
		}
		if c.CronExpression == nil || c.Enable == nil || !every.MatchString(*c.CronExpression) && len(strings.Fields(*c.CronExpression)) != 6 {
			return fmt.Errorf("cronExpression: six fields, or @every Nm; and enable")
		}
		var m map[string]string
		if c.Payload == nil || json.Unmarshal([]byte(*c.Payload), &m) != nil || m["qa"] == "" {
			return fmt.Errorf("payload: a JSON object with the task in \"qa\"")
		}
	case "oss":
		var c fc.OSSTriggerConfig
		if err := strict(tr.TriggerConfig, &c); err != nil {
			return err
		}
		if c.Filter == nil || c.Filter.Key == nil || c.Filter.Key.Prefix == nil || c.Filter.Key.Suffix == nil {
			return fmt.Errorf("filter.key.prefix and suffix are both needed")
		}
		if *c.Filter.Key.Prefix != "inbox/" {
			return fmt.Errorf("prefix %q: only the inbox is an event", *c.Filter.Key.Prefix)
		}
		for _, e := range c.Events {
			if !strings.HasPrefix(*e, "oss:ObjectCreated:") {
				return fmt.Errorf("event %s", *e)
			}
		}
		if !strings.HasPrefix(tr.SourceArn, "acs:oss:") || tr.InvocationRole == "" {
			return fmt.Errorf("sourceArn and invocationRole are needed")
		}
	default:
		return fmt.Errorf("no such type %q", tr.TriggerType)
	}
	return nil
}

func read(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile("../../s.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func functions(t *testing.T, s spec) map[string]function {
	t.Helper()
	fs := map[string]function{}
	for name, r := range s.Resources {
		if r["component"] != "fc3" {
			continue
		}
		f, err := decode(r["props"].(map[string]any))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, p := range f.problems() {
			t.Errorf("%s: %s", name, p)
		}
		fs[name] = f
	}
	return fs
}

func TestFunctions(t *testing.T) {
	s := load(t, read(t))
	fs := functions(t, s)
	want := map[string]struct {
		runtime string
		timeout int32
		types   string
	}{
		"chat":   {"custom.debian12", 300, "http"},
		"admin":  {"go1", 60, "http"},
		"health": {"go1", 10, "http"},
		"ingest": {"go1", 900, "oss timer"},
		"backup": {"go1", 900, "timer"},
	}
	if len(fs) != len(want) {
		t.Errorf("%d functions, want %d", len(fs), len(want))
	}
	for name, w := range want {
		f := fs[name]
		var types []string
		for _, tr := range f.triggers {
			types = append(types, tr.TriggerType)
		}
		if f.Runtime == nil || *f.Runtime != w.runtime || *f.Timeout != w.timeout || strings.Join(types, " ") != w.types {
			t.Errorf("%s: %v %v %v, want %v", name, f.Runtime, f.Timeout, types, w)
			continue
		}
		if f.region != "cn-beijing" || *f.FunctionName != "eino-qa-"+name || *f.Role != "acs:ram::1234567890:role/eino-qa-"+name || f.code != "./dist/fc/"+name+".zip" {
			t.Errorf("%s: region %s, name %s, role %s, code %s", name, f.region, *f.FunctionName, *f.Role, f.code)
		}
		env := func(k string) string {
			if v := f.EnvironmentVariables[k]; v != nil {
				return *v
			}
			return ""
		}
		if env("STORAGE_URL") != "oss://eino-qa-data?endpoint=oss-cn-beijing-internal.aliyuncs.com&region=cn-beijing" || env("SERVER_MODE") != "release" || env("MILVUS_HOST") != "192.168.0.10" {
			t.Errorf("%s: store %q, mode %q, milvus %q", name, env("STORAGE_URL"), env("SERVER_MODE"), env("MILVUS_HOST"))
		}
		if p := env("SERVERLESS_PLATFORM"); p != map[bool]string{true: "fc-custom", false: "fc"}[name == "chat"] {
			t.Errorf("%s: platform %q", name, p)
		}
		if f.InternetAccess == nil || !*f.InternetAccess || f.VpcConfig == nil || *f.VpcConfig.VpcId != "vpc-1" || f.LogConfig == nil {
			t.Errorf("%s: network or logs are missing", name)
		}
		if slices.Contains(types, "timer") && f.retries == nil {
			t.Errorf("%s: an event that fails is lost", name)
		}
	}
	if c := fs["chat"]; c.InstanceConcurrency == nil || *c.InstanceConcurrency < 2 || *c.CustomRuntimeConfig.Port != 9000 {
		t.Error("chat takes one request at a time, or listens elsewhere")
	}
}

func TestDomain(t *testing.T) {
	s := load(t, read(t))
	props := s.Resources["domain"]["props"].(map[string]any)
	delete(props, "region")
	j, err := json.Marshal(props)
	if err != nil {
		t.Fatal(err)
	}
	var d fc.CreateCustomDomainInput
	if err := strict(j, &d); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range s.Resources {
		if p, ok := r["props"].(map[string]any); ok && r["component"] == "fc3" {
			names[fmt.Sprint(p["functionName"])] = true
		}
	}
	to := map[string]string{}
	for _, r := range d.RouteConfig.Routes {
		if !names[*r.FunctionName] {
			t.Errorf("%s goes to %s, which is not here", *r.Path, *r.FunctionName)
		}
		to[*r.Path] = *r.FunctionName
	}
	for path, fn := range map[string]string{"/chat": "eino-qa-chat", "/api/v1/sessions/*": "eino-qa-chat", "/models": "eino-qa-chat", "/models/*": "eino-qa-chat", "/health": "eino-qa-health", "/*": "eino-qa-admin"} {
		if to[path] != fn {
			t.Errorf("%s goes to %q, want %s", path, to[path], fn)
		}
	}
}

func TestMistakesAreFound(t *testing.T) {
	raw := string(read(t))
	for _, tt := range []struct{ name, old, new, says string }{
		{"a misspelt field", "cpu: 0.1", "cpuu: 0.1", `"cpuu"`},
		{"a field of a trigger", "payload: '{\"qa\":\"backup\"}'", "payloud: x", `"payloud"`},
		{"a type of trigger", "triggerType: oss", "triggerType: osss", "no such type"},
		{"memory", "memorySize: 128", "memorySize: 130", "memorySize"},
		{"memory for a CPU", "cpu: 0.1\n", "cpu: 1\n", "for a CPU"},
		{"an odd CPU", "cpu: 0.1\n", "cpu: 0.12\n", "cpu:"},
		{"concurrency of a built-in runtime", "runtime: go1\n      handler: bootstrap\n      code: ./dist/fc/admin.zip", "runtime: go1\n      instanceConcurrency: 5\n      handler: bootstrap\n      code: ./dist/fc/admin.zip", "instanceConcurrency"},
		{"a forgotten timeout", "      timeout: 10\n", "", "timeout"},
		{"a filter that takes in the log", "prefix: inbox/", "prefix: t/", "only the inbox"},
		{"a role in capitals", "role/eino-qa-health", "role/eino-qa-Health", "lower case"},
		{"a wrong cron", `"@every 60m"`, `"@hourly"`, "cronExpression"},
	} {
		broken := strings.Replace(raw, tt.old, tt.new, 1)
		if broken == raw {
			t.Errorf("%s: s.yaml has no %q any more", tt.name, tt.old)
			continue
		}
		var found []string
		for _, r := range load(t, []byte(broken)).Resources {
			if r["component"] != "fc3" {
				continue
			}
			f, err := decode(r["props"].(map[string]any))
			if err != nil {
				found = append(found, err.Error())
				continue
			}
			found = append(found, f.problems()...)
		}
		if !strings.Contains(strings.Join(found, "; "), tt.says) {
			t.Errorf("%s: found %q, want something about %s", tt.name, found, tt.says)
		}
	}
}
