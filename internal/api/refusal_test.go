package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that sends all of its body before it reads must find the refusal,
// not a connection that was reset.
func TestARefusedBodyIsTakenSoThatTheRefusalIsRead(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{MaxBody: 1 << 20, MaxUpload: 2 << 20})
	const size = 24 << 20 // more than the buffers of two sockets hold
	for name, tt := range map[string]struct {
		head string
		want int
	}{
		"announced":            {"POST /chat HTTP/1.1\r\nContent-Length: %d\r\n", http.StatusRequestEntityTooLarge},
		"of unknown length":    {"POST /chat HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", http.StatusRequestEntityTooLarge},
		"read for a receipt":   {"POST /chat HTTP/1.1\r\nX-API-Key: " + chatKey + "\r\nIdempotency-Key: k\r\nTransfer-Encoding: chunked\r\n", http.StatusRequestEntityTooLarge},
		"without the scope":    {"POST /api/v1/documents HTTP/1.1\r\nX-API-Key: " + chatKey + "\r\nContent-Length: %d\r\n", http.StatusForbidden},
		"with a key of nobody": {"POST /api/v1/documents HTTP/1.1\r\nX-API-Key: nobody\r\nContent-Length: %d\r\n", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(o.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			body, head := strings.Repeat("x", size), tt.head
			if strings.Contains(head, "%d") {
				head = fmt.Sprintf(head, size)
			} else {
				body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body)
			}
			if _, err := fmt.Fprintf(conn, "%sHost: x\r\n\r\n%s", head, body); err != nil {
				t.Fatalf("the body cannot be sent: %v", err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			defer res.Body.Close()
			if res.StatusCode != tt.want || !res.Close {
				t.Errorf("%s, close %t; want %d and the end of the connection", res.Status, res.Close, tt.want)
			}
		})
	}
}

// Who asks first whether to send is not waited for.
func TestARefusedBodyThatIsNotSentKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{MaxBody: 1 << 20})
	conn, err := net.Dial("tcp", strings.TrimPrefix(o.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /chat HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatal(res, err)
	}
	defer res.Body.Close()
	if err := conn.SetReadDeadline(time.Now().Add(drainTime / 2)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = r.ReadByte()
	}
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // as package net returns it
		t.Error("the server waits for a body that nobody sends")
	}
}
