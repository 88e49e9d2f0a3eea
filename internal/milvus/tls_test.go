package milvus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/eino-qa/eino-qa/internal/milvus/milvustest"
)

// certificate makes one for a name, and the file of its authority: itself.
func certificate(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestTLSIsSpokenWithWhomTheAuthorityVouchesFor(t *testing.T) {
	t.Parallel()
	cert, ca := certificate(t, "milvus.example")
	_, other := certificate(t, "milvus.example")
	f := milvustest.StartFake(t, milvustest.Options{Credentials: credentials.NewServerTLSFromCert(&cert)})
	_, x, _ := onAddress(t, Config{Address: f.Address, TLS: true, CAFile: ca, ServerName: "milvus.example"})
	if err := x.Upsert(t.Context(), "b1", testRows()); err != nil {
		t.Fatal(err)
	}
	works(t, x)
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"another authority": {Config{TLS: true, CAFile: other, ServerName: "milvus.example"}, "unknown authority"},
		"the system's":      {Config{TLS: true, ServerName: "milvus.example"}, "certificate"},
		"another name":      {Config{TLS: true, CAFile: ca, ServerName: "other.example"}, "other.example"},
		"the address":       {Config{TLS: true, CAFile: ca}, "127.0.0.1"},
		"plain text":        {Config{}, ""},
	} {
		c.cfg.Address, c.cfg.ConnectTimeout = f.Address, time.Second
		_, x, l := onAddress(t, c.cfg)
		unavailable(t, x.Upsert(t.Context(), "b1", testRows()), c.want)
		if l.String() == "" {
			t.Errorf("%s: the log says nothing of it", name)
		}
	}
}
