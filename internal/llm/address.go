package llm

import (
	"net"
	"net/url"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// DashScope's paths outside the compatible mode (facts/dependencies.md §4).
const (
	compatibleMode = "/compatible-mode/"
	compatibleAPI  = "/compatible-api/v1/reranks"
	nativeRerank   = "/api/v1/services/rerank/text-rerank/text-rerank"
)

// parseBase checks a base URL. It refuses what would put a secret into errors
// and logs: user:password@ and a query.
func parseBase(field, s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, kb.E(kb.Invalid, nil, "%s.base_url: not an http(s) URL", field) // not quoted: it may hold a password
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, kb.E(kb.Invalid, nil, "%s.base_url: leave out user, password, query and fragment", field)
	}
	return u, nil
}

func parseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return nil, kb.E(kb.Invalid, nil, "llm.proxy: not a URL like http://host:port")
	}
	switch u.Scheme {
	case "http", "https", "socks5":
		return u, nil
	}
	return nil, kb.E(kb.Invalid, nil, "llm.proxy: use http, https or socks5")
}

// guess tells the dialect from the address.
func guess(u *url.URL) Provider {
	if strings.HasSuffix(u.Hostname(), ".aliyuncs.com") || strings.Contains(u.Path+"/", compatibleMode) {
		return DashScope
	}
	return OpenAI
}

// loopback reports whether u is on this machine, where a stand-in needs no key.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// rerankURL is where an endpoint reranks: DashScope has it beside its
// compatible mode, qwen3-rerank in an OpenAI-like form and older models in the
// native one; others follow Jina's and Cohere's {base}/rerank.
func (e *endpoint) rerankURL(model string) (address string, native bool) {
	if e.provider != DashScope {
		return e.base.JoinPath("rerank").String(), false
	}
	root := *e.base
	if i := strings.Index(root.Path+"/", compatibleMode); i >= 0 {
		root.Path = root.Path[:i]
	} else {
		root.Path = ""
	}
	if strings.HasPrefix(model, "gte-") {
		return root.String() + nativeRerank, true
	}
	return root.String() + compatibleAPI, false
}
