package llm

import (
	"bufio"
	"context"
	"io"
	"math"
	"net"
	"net/http"
)

// straight carries out one request over plain HTTP on a connection of its own,
// which is read by who reads the answer. http.Transport has two goroutines for
// each connection: 11 KiB of stacks and channels for as long as a stream is open.
type straight func(ctx context.Context, network, address string) (net.Conn, error)

// RoundTrip implements http.RoundTripper. The connection ends with the answer's
// body or the request's context.
func (dial straight) RoundTrip(req *http.Request) (*http.Response, error) {
	port := req.URL.Port()
	if port == "" {
		port = "http"
	}
	conn, err := dial(req.Context(), "tcp", net.JoinHostPort(req.URL.Hostname(), port))
	if err != nil {
		return nil, err
	}
	stay := context.AfterFunc(req.Context(), func() { _ = conn.Close() })
	res, err := exchange(conn, req)
	if err != nil {
		stay()
		_ = conn.Close()
		return nil, err
	}
	res.Body = &straightBody{res.Body, conn, stay}
	return res, nil
}

// exchange sends the request and reads the head of its answer, which may refuse
// the request before all of it was sent.
func exchange(conn net.Conn, req *http.Request) (*http.Response, error) {
	unsent := send(conn, req)
	res, err := head(conn, req)
	if err != nil && unsent != nil {
		return nil, unsent
	}
	return res, err
}

func send(conn net.Conn, req *http.Request) error {
	req.Close = true
	out := bufio.NewWriterSize(conn, connBuffer)
	if err := req.Write(out); err != nil {
		return err
	}
	return out.Flush()
}

func head(conn net.Conn, req *http.Request) (*http.Response, error) {
	bound := &io.LimitedReader{R: conn, N: maxHead}
	in := bufio.NewReaderSize(bound, connBuffer)
	for {
		res, err := http.ReadResponse(in, req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= http.StatusOK { // the others announce one that is yet to come
			bound.N = math.MaxInt64
			return res, nil
		}
	}
}

// straightBody is the body of an answer that ends its connection.
type straightBody struct {
	io.Reader
	conn net.Conn
	stay func() bool // the context's end need not close conn any more
}

func (b *straightBody) Close() error {
	b.stay()
	return b.conn.Close() // the body's own Close would wait for a Read
}
