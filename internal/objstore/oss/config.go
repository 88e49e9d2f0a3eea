package oss

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Config says where a bucket is and how to reach it.
type Config struct {
	Bucket string
	Prefix string // folder that every key lies in; may be empty
	// Endpoint is a URL such as https://oss-cn-hangzhou.aliyuncs.com; empty is
	// that of Region. With an IP address the bucket goes into the path.
	Endpoint string
	Region   string // as in cn-hangzhou; empty is taken from Endpoint
	Internal bool   // use the region's internal endpoint, reachable from its ECS and FC, without traffic fees
	CName    bool   // Endpoint is a domain bound to the bucket
	// Credentials is asked at the first request and again before Expires.
	Credentials func(context.Context) (Credentials, error)
	// Stall is how long a connection may make no progress; 0 means
	// transport.DefaultStall.
	Stall time.Duration
}

// Credentials of an account.
type Credentials struct {
	Key, Secret string
	Token       string    // of temporary credentials (STS), else empty
	Expires     time.Time // zero: never
}

// Static returns credentials that do not change.
func Static(key, secret, token string) func(context.Context) (Credentials, error) {
	return func(context.Context) (Credentials, error) {
		return Credentials{Key: key, Secret: secret, Token: token}, nil
	}
}

// ParseURL parses oss://bucket/prefix?endpoint=…&region=…&internal=true&
// cname=true. What is missing may be filled in before Open, which refuses what
// cannot work. Errors of both are kb.Invalid.
func ParseURL(raw string) (Config, error) {
	l, err := objstore.ParseLocation(raw, "oss", "endpoint", "region", "internal", "cname")
	if err != nil {
		return Config{}, err
	}
	c := Config{Bucket: l.Bucket, Prefix: l.Prefix, Region: l.Setting("region")}
	if c.Endpoint, err = l.Endpoint(); err != nil {
		return Config{}, err
	}
	if c.Internal, err = l.Bool("internal"); err != nil {
		return Config{}, err
	}
	if c.CName, err = l.Bool("cname"); err != nil {
		return Config{}, err
	}
	return c, nil
}

// validate completes c and refuses what can be known to fail later.
func (c *Config) validate() error {
	if c.Bucket == "" || strings.Contains(c.Bucket, ".") {
		return kb.E(kb.Invalid, nil, "storage.url: an OSS bucket is named with a-z, 0-9 and '-', not %q", c.Bucket)
	}
	if c.Endpoint == "" {
		if c.CName {
			return kb.E(kb.Invalid, nil, "storage.url: cname=true needs the domain as endpoint")
		}
		if !validRegion(c.Region) {
			return kb.E(kb.Invalid, nil, "storage.url: endpoint or region is missing; write oss://%s?endpoint=oss-cn-hangzhou.aliyuncs.com", c.Bucket)
		}
		c.Endpoint = "https://oss-" + c.Region + ".aliyuncs.com"
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" {
		return kb.E(kb.Invalid, err, "storage.url: endpoint %q is no URL", c.Endpoint)
	}
	host := u.Hostname()
	region, internal, known := officialHost(host)
	switch {
	case strings.HasPrefix(host, "s3."):
		return kb.E(kb.Invalid, nil, "storage.url: endpoint %s is for S3 clients; leave its \"s3.\" out", host)
	case strings.HasPrefix(host, c.Bucket+".") && !c.CName:
		return kb.E(kb.Invalid, nil, "storage.url: endpoint %s holds the bucket already; leave it out there, or add cname=true for a domain of yours", host)
	case known && c.Region == "":
		c.Region = region
	case c.Region == "":
		return kb.E(kb.Invalid, nil, "storage.url: region is missing, which requests are signed for; add region=cn-…")
	}
	if c.Internal && known && !internal {
		u.Host = strings.Replace(u.Host, "oss-"+region+".", "oss-"+region+"-internal.", 1)
		c.Endpoint = u.Scheme + "://" + u.Host
	} else if c.Internal && !known {
		return kb.E(kb.Invalid, nil, "storage.url: internal=true is for endpoints of Alibaba Cloud; %s is none", host)
	}
	return nil
}

// officialHost takes oss-REGION[-internal].aliyuncs.com apart.
func officialHost(host string) (region string, internal, ok bool) {
	name, ok1 := strings.CutSuffix(host, ".aliyuncs.com")
	name, ok2 := strings.CutPrefix(name, "oss-")
	name, internal = strings.CutSuffix(name, "-internal")
	return name, internal, ok1 && ok2 && validRegion(name)
}

func validRegion(r string) bool {
	for i := range len(r) {
		if c := r[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return strings.Contains(r, "-")
}

// earlier is how long before their end credentials are asked for again: the
// longest upload may take that long after it was signed.
const earlier = 5 * time.Minute

// provider hands the caller's credentials to the SDK, which asks for every
// request, and keeps those that expire.
type provider struct {
	fetch func(context.Context) (Credentials, error)
	lock  chan struct{} // holds one token; a mutex that ctx can end the wait for
	last  Credentials
}

func newProvider(fetch func(context.Context) (Credentials, error)) *provider {
	p := &provider{fetch: fetch, lock: make(chan struct{}, 1)}
	p.lock <- struct{}{}
	return p
}

// GetCredentials implements credentials.CredentialsProvider.
func (p *provider) GetCredentials(ctx context.Context) (credentials.Credentials, error) {
	select {
	case <-p.lock:
		defer func() { p.lock <- struct{}{} }()
	case <-ctx.Done():
		return credentials.Credentials{}, ctx.Err()
	}
	if p.last.Key == "" || !p.last.Expires.IsZero() && time.Until(p.last.Expires) < earlier {
		c, err := p.fetch(ctx)
		if err == nil && (c.Key == "" || c.Secret == "") {
			err = kb.E(kb.Invalid, nil, "the access key or its secret is missing")
		}
		if err != nil {
			return credentials.Credentials{}, objstore.Trouble(objstore.ErrDenied, err)
		}
		p.last = c
	}
	out := credentials.Credentials{AccessKeyID: p.last.Key, AccessKeySecret: p.last.Secret, SecurityToken: p.last.Token}
	if e := p.last.Expires; !e.IsZero() {
		out.Expires = &e
	}
	return out, nil
}
