package s3

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Config says where a bucket is and how to reach it.
type Config struct {
	Bucket    string
	Prefix    string // folder that every key lies in; may be empty
	Endpoint  string // URL of an S3-compatible server; empty for AWS
	Region    string // empty is us-east-1 where there is an Endpoint, which mostly do not care
	PathStyle bool   // endpoint/bucket/key instead of bucket.endpoint/key
	// AllowVersioning lets Check accept a bucket with versioning. Nothing is
	// lost there, but what backups expire is kept, and paid for, for ever.
	AllowVersioning bool
	// Credentials is asked at the first request and again before Expires.
	Credentials func(context.Context) (Credentials, error)
	// Stall is how long a connection may make no progress; 0 means
	// transport.DefaultStall.
	Stall time.Duration
}

// Credentials of an account.
type Credentials struct {
	Key, Secret string
	Token       string    // of temporary credentials, else empty
	Expires     time.Time // zero: never
}

// Static returns credentials that do not change.
func Static(key, secret, token string) func(context.Context) (Credentials, error) {
	return func(context.Context) (Credentials, error) {
		return Credentials{Key: key, Secret: secret, Token: token}, nil
	}
}

// defaultRegion is what S3-compatible servers take when they have no regions;
// versitygw and MinIO are set to it.
const defaultRegion = "us-east-1"

// ParseURL parses s3://bucket/prefix?endpoint=…&region=…&path_style=true&
// allow_versioning=true. What is missing may be filled in before Open, which
// refuses what cannot work. Errors of both are kb.Invalid.
func ParseURL(raw string) (Config, error) {
	l, err := objstore.ParseLocation(raw, "s3", "endpoint", "region", "path_style", "allow_versioning")
	if err != nil {
		return Config{}, err
	}
	c := Config{Bucket: l.Bucket, Prefix: l.Prefix, Region: l.Setting("region")}
	if c.Endpoint, err = l.Endpoint(); err != nil {
		return Config{}, err
	}
	if c.PathStyle, err = l.Bool("path_style"); err != nil {
		return Config{}, err
	}
	if c.AllowVersioning, err = l.Bool("allow_versioning"); err != nil {
		return Config{}, err
	}
	return c, nil
}

// validate completes c and refuses what can be known to fail later.
func (c *Config) validate() error {
	if c.Bucket == "" {
		return kb.E(kb.Invalid, nil, "storage.url: the bucket is missing")
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Host == "" {
			return kb.E(kb.Invalid, err, "storage.url: endpoint %q is no URL", c.Endpoint)
		}
		if strings.HasSuffix(u.Hostname(), ".aliyuncs.com") {
			// Error 0017-00000245 of OSS: If-None-Match is not implemented.
			return kb.E(kb.Invalid, nil, "storage.url: Alibaba Cloud OSS does not implement conditional writes over S3; write oss://%s", c.Bucket)
		}
	}
	if c.Region == "" {
		if c.Endpoint == "" {
			return kb.E(kb.Invalid, nil, "storage.url: region is missing; write s3://%s?region=…", c.Bucket)
		}
		c.Region = defaultRegion
	}
	return nil
}

// retrieve hands the caller's credentials to the SDK.
type retrieve func(context.Context) (Credentials, error)

func (r retrieve) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := r(ctx)
	if err != nil {
		return aws.Credentials{}, objstore.Trouble(objstore.ErrDenied, err)
	}
	if c.Key == "" || c.Secret == "" {
		return aws.Credentials{}, objstore.Trouble(objstore.ErrDenied, kb.E(kb.Invalid, nil, "the access key or its secret is missing"))
	}
	return aws.Credentials{
		AccessKeyID: c.Key, SecretAccessKey: c.Secret, SessionToken: c.Token,
		CanExpire: !c.Expires.IsZero(), Expires: c.Expires, Source: "settings",
	}, nil
}
