package config

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFeatures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		want    []string
	}{
		{"nothing set", nil, []string{
			"store on folder ./data/db (STORAGE_URL)",
			"chat model off answers are quoted sentences (DASHSCOPE_API_KEY)",
			"embedding model off search by words only (DASHSCOPE_API_KEY)",
			"rerank model off results in the order of the search (DASHSCOPE_API_KEY, DASHSCOPE_RERANK_MODEL)",
			"milvus off vectors are searched in this process (MILVUS_HOST)",
			"cache on memory, 32MiB, 1h (CACHE_ENABLED)",
		}},
		{"everything on", []string{
			"DASHSCOPE_API_KEY=sk-1", "DASHSCOPE_RERANK_MODEL=qwen3-rerank", "MILVUS_HOST=milvus", "CACHE_TYPE=redis", "CACHE_REDIS_HOST=redis",
			"STORAGE_URL=s3://bucket/prefix?region=r",
		}, []string{
			"store on s3://bucket/prefix (STORAGE_URL)",
			"chat model on qwen-plus at dashscope.aliyuncs.com (DASHSCOPE_CHAT_MODEL)",
			"embedding model on text-embedding-v2 at dashscope.aliyuncs.com (DASHSCOPE_EMBED_MODEL)",
			"rerank model on qwen3-rerank at dashscope.aliyuncs.com (DASHSCOPE_RERANK_MODEL)",
			"milvus on milvus:19530 (MILVUS_HOST)",
			"cache on redis at redis:6379, 1h (CACHE_TYPE)",
		}},
		{"some on", []string{
			"DASHSCOPE_BASE_URL=http://127.0.0.1:11434/v1", "DASHSCOPE_EMBED_MODEL=none", "MILVUS_HOST=milvus", "CACHE_ENABLED=false",
			"DATABASE_BASE_PATH=/srv/db",
		}, []string{
			"store on folder /srv/db (STORAGE_URL)",
			"chat model on qwen-plus at 127.0.0.1:11434 (DASHSCOPE_CHAT_MODEL)",
			"embedding model off search by words only (DASHSCOPE_EMBED_MODEL)",
			"rerank model off results in the order of the search (DASHSCOPE_RERANK_MODEL)",
			"milvus on milvus:19530, idle without an embedding model (MILVUS_HOST)",
			"cache off every answer is computed (CACHE_ENABLED)",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range mustLoad(t, Source{Environ: tt.environ, Dir: dir(t)}).Features() {
				on := "off"
				if f.On {
					on = "on"
				}
				got = append(got, fmt.Sprintf("%s %s %s (%s)", f.Name, on, f.Detail, f.Setting))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
