package milvustest

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// Upsert implements the service.
func (f *Fake) Upsert(_ context.Context, r *milvuspb.UpsertRequest) (*milvuspb.MutationResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), false)
	if t == nil {
		return &milvuspb.MutationResult{Status: s}, nil
	}
	rows := make([]row, r.GetNumRows())
	var keys []string
	for _, d := range r.GetFieldsData() {
		for i := range rows {
			switch d.GetFieldName() {
			case "id":
				rows[i].key = d.GetScalars().GetStringData().GetData()[i]
				keys = append(keys, rows[i].key)
			case "tenant_id":
				rows[i].tenant = d.GetScalars().GetStringData().GetData()[i]
			case "batch":
				rows[i].batch = d.GetScalars().GetStringData().GetData()[i]
			case "chunk":
				rows[i].chunk = d.GetScalars().GetLongData().GetData()[i]
			case "vector":
				dim := int(d.GetVectors().GetDim())
				if want := dimension(t.schema); dim != want {
					return &milvuspb.MutationResult{Status: Refuse(1100, commonpb.ErrorCode_IllegalArgument, "the dim (%d) of field data(vector) is not equal to schema dim (%d)", dim, want)}, nil
				}
				rows[i].vector = d.GetVectors().GetFloatVector().GetData()[i*dim : (i+1)*dim]
			}
		}
	}
	for _, row := range rows {
		t.rows[row.key] = row
	}
	return &milvuspb.MutationResult{Status: s, IDs: ids(keys), UpsertCnt: int64(len(rows))}, nil
}

func ids(keys []string) *schemapb.IDs {
	return &schemapb.IDs{IdField: &schemapb.IDs_StrId{StrId: &schemapb.StringArray{Data: keys}}}
}

func dimension(s *schemapb.CollectionSchema) int {
	for _, f := range s.GetFields() {
		for _, p := range f.GetTypeParams() {
			if p.GetKey() == "dim" {
				n, _ := strconv.Atoi(p.GetValue())
				return n
			}
		}
	}
	return 0
}

// Delete implements the service.
func (f *Fake) Delete(_ context.Context, r *milvuspb.DeleteRequest) (*milvuspb.MutationResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), true)
	found, bad := t.match(r.GetExpr())
	if bad != nil {
		s = bad
	}
	for _, row := range found {
		delete(t.rows, row.key)
	}
	return &milvuspb.MutationResult{Status: s, DeleteCnt: int64(len(found))}, nil
}

// Query implements the service.
func (f *Fake) Query(_ context.Context, r *milvuspb.QueryRequest) (*milvuspb.QueryResults, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), true)
	found, bad := t.match(r.GetExpr())
	if t == nil || bad != nil {
		return &milvuspb.QueryResults{Status: cmp.Or(bad, s)}, nil
	}
	if r.GetOutputFields()[0] == "count(*)" {
		return &milvuspb.QueryResults{Status: s, FieldsData: []*schemapb.FieldData{Count(int64(len(found)))}}, nil
	}
	for _, p := range r.GetQueryParams() {
		if n, err := strconv.Atoi(p.GetValue()); err == nil && p.GetKey() == "limit" {
			found = found[:min(n, len(found))]
		}
	}
	var batches []string
	for _, row := range found {
		batches = append(batches, row.batch)
	}
	return &milvuspb.QueryResults{Status: s, FieldsData: []*schemapb.FieldData{Texts("batch", batches)}}, nil
}

// Count is the answer to count(*).
func Count(n int64) *schemapb.FieldData {
	return &schemapb.FieldData{FieldName: "count(*)", Type: schemapb.DataType_Int64, Field: &schemapb.FieldData_Scalars{
		Scalars: &schemapb.ScalarField{Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: []int64{n}}}},
	}}
}

// Texts is a column of an answer.
func Texts(name string, texts []string) *schemapb.FieldData {
	return &schemapb.FieldData{FieldName: name, Type: schemapb.DataType_VarChar, Field: &schemapb.FieldData_Scalars{
		Scalars: &schemapb.ScalarField{Data: &schemapb.ScalarField_StringData{StringData: &schemapb.StringArray{Data: texts}}},
	}}
}

// Hits is the answer to a search.
func Hits(keys ...string) *milvuspb.SearchResults {
	return &milvuspb.SearchResults{Status: success(), Results: &schemapb.SearchResultData{
		NumQueries: 1, TopK: int64(len(keys)), Topks: []int64{int64(len(keys))}, Scores: make([]float32, len(keys)), Ids: ids(keys),
	}}
}

// Search implements the service. It compares by the inner product, which for
// vectors of unit length ranks as all metrics do.
func (f *Fake) Search(_ context.Context, r *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), true)
	found, bad := t.match(r.GetDsl())
	if t == nil || bad != nil {
		return &milvuspb.SearchResults{Status: cmp.Or(bad, s)}, nil
	}
	params := map[string]string{}
	for _, p := range r.GetSearchParams() {
		params[p.GetKey()] = p.GetValue()
	}
	for _, p := range t.index {
		if p.GetKey() == "metric_type" && p.GetValue() != params["metric_type"] {
			return &milvuspb.SearchResults{Status: Refuse(1100, commonpb.ErrorCode_UnexpectedError, "metric type not match: invalid parameter[expected=%s][actual=%s]", p.GetValue(), params["metric_type"])}, nil
		}
	}
	var group commonpb.PlaceholderGroup
	if err := proto.Unmarshal(r.GetPlaceholderGroup(), protoadapt.MessageV2Of(&group)); err != nil {
		return nil, err
	}
	raw := group.GetPlaceholders()[0].GetValues()[0]
	if len(raw) != 4*dimension(t.schema) {
		return &milvuspb.SearchResults{Status: Refuse(65535, commonpb.ErrorCode_UnexpectedError, "vector dimension mismatch, expected vector size(byte) %d, actual %d", 4*dimension(t.schema), len(raw))}, nil
	}
	score := func(r row) (sum float32) {
		for i, x := range r.vector {
			sum += x * math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		return sum
	}
	slices.SortFunc(found, func(a, b row) int { return cmp.Or(cmp.Compare(score(b), score(a)), cmp.Compare(a.key, b.key)) })
	k, _ := strconv.Atoi(params["topk"])
	var breadth struct{ Ef int }
	if err := json.Unmarshal([]byte(params["params"]), &breadth); err != nil || breadth.Ef < k {
		return &milvuspb.SearchResults{Status: Refuse(1100, commonpb.ErrorCode_UnexpectedError, "ef(%d) should be larger than k(%d)", breadth.Ef, k)}, nil
	}
	var keys []string
	for _, row := range found[:min(k, len(found))] {
		keys = append(keys, row.key)
	}
	return Hits(keys...), nil
}

var (
	equals = regexp.MustCompile(`^(tenant_id|batch) == "([A-Za-z0-9_-]+)"$`)
	within = regexp.MustCompile(`^batch (not )?in \[((?:"[A-Za-z0-9_-]+"(?:, )?)+)\]$`)
)

// match returns the rows that an expression of ours means, sorted by key. One
// that does not begin with a tenant is refused: that is the first thing every
// expression must say.
func (t *table) match(expr string) ([]row, *commonpb.Status) {
	if t == nil {
		return nil, nil
	}
	var tests []func(row) bool
	for i, part := range strings.Split(expr, " && ") {
		if m := equals.FindStringSubmatch(part); m != nil && (i == 0) == (m[1] == "tenant_id") {
			tests = append(tests, func(r row) bool { return m[2] == map[string]string{"tenant_id": r.tenant, "batch": r.batch}[m[1]] })
			continue
		}
		m := within.FindStringSubmatch(part)
		if m == nil || i == 0 {
			return nil, Refuse(1100, commonpb.ErrorCode_UnexpectedError, "cannot parse expression: %s", expr)
		}
		list := strings.Split(strings.ReplaceAll(m[2], `"`, ""), ", ")
		tests = append(tests, func(r row) bool { return slices.Contains(list, r.batch) == (m[1] == "") })
	}
	var found []row
	for _, r := range t.rows {
		if !slices.ContainsFunc(tests, func(test func(row) bool) bool { return !test(r) }) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b row) int { return cmp.Compare(a.key, b.key) })
	return found, nil
}
