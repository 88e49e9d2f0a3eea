package api

import (
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestThePreferredLanguageIsTheOneRankedFirstThatWeSpeak(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]kb.Lang{
		"":                              "",
		"zh":                            kb.Zh,
		"zh-CN,zh;q=0.9,en;q=0.8":       kb.Zh,
		"en-US,en;q=0.9,zh-CN;q=0.8":    kb.En,
		"de-DE,de;q=0.9, ZH-Hant;q=0.5": kb.Zh,
		"fr, *;q=0.1":                   "",
		"en; q=0.3, zh; q=0.7":          kb.Zh,
		"zh;q=0, en;q=0.1":              kb.En,
		"zh;q=x, en;q=0.1":              kb.En,
	} {
		if got := preferred(header); got != want {
			t.Errorf("preferred(%q) = %q, want %q", header, got, want)
		}
	}
}
