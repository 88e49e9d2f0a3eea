package llmtest

import (
	"encoding/json"
	"net/http"
	"slices"
)

// chatModel is what Server knows of a chat model.
type chatModel struct {
	id       string
	input    int  // tokens; the range named in the error for longer prompts
	thinking bool // thinks unless enable_thinking is false, and then only streams
}

// embedModel is what Server knows of an embedding model: facts §4.
type embedModel struct {
	id   string
	dims []int // the first is the default
	rows int
	toks int // a row
}

// The models on offer. qwen3-8b is one of the open-source models that think by
// default and refuse to do so without streaming.
func chatModels() []chatModel {
	return []chatModel{
		{"qwen-plus", 129_024, false},
		{"qwen-max", 30_720, false},
		{"qwen-turbo", 129_024, false},
		{"qwen-flash", 997_952, false},
		{"qwen3-max", 258_048, false},
		{"qwen3-8b", 129_024, true},
	}
}

func embedModels() []embedModel {
	return []embedModel{
		{"text-embedding-v4", []int{1024, 2048, 1536, 768, 512, 256, 128, 64}, 10, 8192},
		{"text-embedding-v3", []int{1024, 768, 512, 256, 128, 64}, 10, 8192},
		{"text-embedding-v2", []int{1536}, 25, 2048},
		{"text-embedding-v1", []int{1536}, 25, 2048},
	}
}

func rerankModels() []string { return []string{"qwen3-rerank", "gte-rerank-v2"} }

func findChat(id string) (chatModel, bool) {
	all := chatModels()
	i := slices.IndexFunc(all, func(m chatModel) bool { return m.id == id })
	if i < 0 {
		return chatModel{}, false
	}
	return all[i], true
}

func findEmbed(id string) (embedModel, bool) {
	all := embedModels()
	i := slices.IndexFunc(all, func(m embedModel) bool { return m.id == id })
	if i < 0 {
		return embedModel{}, false
	}
	return all[i], true
}

// models writes the model list of the compatible mode.
func (s *Server) models(w http.ResponseWriter) {
	type entry struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	var data []entry
	for _, m := range chatModels() {
		data = append(data, entry{m.id, "model", 1734307200, "system"})
	}
	for _, m := range embedModels() {
		data = append(data, entry{m.id, "model", 1734307200, "system"})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data})
}

// tokens estimates as the provider's billing page does: a token is a Chinese
// character or three to four letters.
func tokens(s string) int {
	n, letters := 0, 0
	for _, r := range s {
		if r >= 0x2E80 {
			n++
		} else {
			letters++
		}
	}
	return n + (letters+3)/4
}
