package e2e

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// TestEveryFormatIsAnsweredFrom uploads a file of each kind, each with a fact
// of its own, and asks for it.
func TestEveryFormatIsAnsweredFrom(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "TENANTS_SAMPLE=off")
	for _, f := range []struct {
		name     string
		data     []byte
		question string
		want     string
	}{
		{"guide.md", []byte("# Guide\n\nThe **Marlin** pump needs 230 volts.\n"), "How many volts does the Marlin pump need?", "230"},
		{"page.mdx", []byte("---\ntitle: Page\n---\nimport X from 'x'\n\n<Card title=\"Heron\">The Heron valve opens at 6 bar.</Card>\n"), "At how many bar does the Heron valve open?", "6 bar"},
		{"note.txt", []byte("孔雀阀门的保养周期是九十天。"), "孔雀阀门的保养周期是多久？", "九十天"},
		{"page.html", []byte("<html><head><title>T</title><script>var x='Osprey';</script></head><body><h1>Osprey</h1><p>The Osprey filter lasts 400 hours.</p></body></html>"), "How many hours does the Osprey filter last?", "400"},
		{"prices.csv", []byte("产品,价格\n海豚泵,1280 元\n海豹泵,990 元\n"), "海豚泵的价格是多少？", "1280"},
		{"stock.xlsx", sheet(t), "How many Albatross motors are in stock?", "17"},
		{"letter.docx", docx(t, "The Kestrel sensor was recalled in March 2025."), "When was the Kestrel sensor recalled?", "March 2025"},
		{"manual.pdf", pdf("The Falcon turbine weighs 52 kilograms."), "How much does the Falcon turbine weigh?", "52"},
	} {
		if r := s.upload(f.name, f.data); r.status != http.StatusAccepted {
			t.Errorf("%s: %d %s", f.name, r.status, r.body)
			continue
		}
		for _, d := range s.settled(20 * time.Second) {
			if d.Name == f.name && d.Status != "ready" {
				t.Errorf("%s: %+v", f.name, d)
			}
		}
		if a := s.ask(f.question, ""); !strings.Contains(a.Answer, f.want) || len(a.Sources) == 0 {
			t.Errorf("%s: asked %q, got %q", f.name, f.question, a.Answer)
		}
	}
}

func sheet(t *testing.T) []byte {
	t.Helper()
	f := excelize.NewFile()
	for cell, v := range map[string]any{"A1": "Part", "B1": "In stock", "A2": "Albatross motor", "B2": 17, "A3": "Pelican motor", "B3": 4} {
		if err := f.SetCellValue("Sheet1", cell, v); err != nil {
			t.Fatal(err)
		}
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func docx(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, body := range map[string]string{
		"[Content_Types].xml": `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`,
		"_rels/.rels":         `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`,
		"word/document.xml":   `<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>` + text + `</w:t></w:r></w:p></w:body></w:document>`,
	} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pdf is the smallest document with one line of text.
func pdf(text string) []byte {
	content := "BT /F1 12 Tf 72 720 Td (" + text + ") Tj ET"
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
		fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(content), content),
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}
