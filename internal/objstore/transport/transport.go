// Package transport makes the HTTP clients that object stores are reached
// with: they keep connections and give up on one that makes no progress.
package transport

import (
	"context"
	"net"
	"net/http"
	"time"
)

// DefaultStall is how long nothing may move on a connection before it is given
// up: S3 itself closes a connection after 20 s without bytes of a body.
const DefaultStall = 20 * time.Second

// New returns a client that follows no redirects (a signature is for one
// address) and whose requests fail when nothing is sent or received for stall,
// 0 meaning DefaultStall. That bounds a request by its progress, not by its
// size, so it needs no other timeout.
func New(stall time.Duration) *http.Client {
	if stall <= 0 {
		stall = DefaultStall
	}
	dialer := &net.Dialer{Timeout: min(stall, 5*time.Second), KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: c, stall: stall}, c.SetDeadline(time.Now().Add(stall))
		},
		TLSHandshakeTimeout: min(stall, 5*time.Second),
		// 32 parallel reads of a catch-up (facts/storage.md §4.5) and as many writers.
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       stall / 2, // before the deadline and most servers close it, which costs a Create its answer
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // a body must have the bytes and the length that were stored
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// conn moves its deadline with every byte that moves, in either direction:
// during a long upload nothing is read, and the other way round.
type conn struct {
	net.Conn
	stall time.Duration
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.moved(n, err)
}

func (c *conn) Write(p []byte) (int, error) {
	// Before, too: a connection taken from the pool has an old deadline.
	if err := c.moved(1, nil); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	return n, c.moved(n, err)
}

func (c *conn) moved(n int, err error) error {
	if n > 0 && err == nil {
		return c.SetDeadline(time.Now().Add(c.stall))
	}
	return err
}
