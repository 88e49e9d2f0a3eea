package config

import "testing"

// BenchmarkLoad is what every cold start pays: about a tenth of a millisecond.
func BenchmarkLoad(b *testing.B) {
	nothing := b.TempDir()
	withFile := dir(b, "config/config.yaml", "server:\n  port: 8080\n  mode: release\nsecurity:\n  api_keys:\n    - ${API_KEY_1}\n")
	environ := []string{"API_KEY_1=prod-key-0123456789", "STORAGE_URL=s3://bucket/prefix", "PATH=/bin", "HOME=/root", "LANG=C"}
	for name, folder := range map[string]string{"environment": nothing, "file": withFile} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Load(Source{Dir: folder, Environ: environ}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
