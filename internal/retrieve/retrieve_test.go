package retrieve_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

// store is a tenant's index in memory: every Add is a segment.
type store struct {
	mu       sync.Mutex
	version  int64
	segments []kb.Segment
	blobs    map[int64][]byte
	dead     []kb.Span
	chunks   map[kb.ChunkID]kb.Chunk
	reads    int
	synonyms kb.Synonyms
	vanish   int // so many reads of a segment fail as if it had been merged away
}

var _ retrieve.Store = (*store)(nil)

func (s *store) add(t testing.TB, chunks ...kb.Chunk) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs, s.chunks = map[int64][]byte{}, map[kb.ChunkID]kb.Chunk{}
	}
	blob, err := lexical.Build(slices.Values(chunks))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		s.chunks[c.ID] = c
	}
	s.version++
	id := s.version
	s.segments = append(s.segments, kb.Segment{ID: id, Docs: len(chunks), Bytes: int64(len(blob)), First: chunks[0].ID, Last: chunks[len(chunks)-1].ID})
	s.blobs[id] = blob
}

func (s *store) bury(id kb.ChunkID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = append(s.dead, kb.Span{First: id, Last: id})
	s.version++
}

func (s *store) know(same kb.Synonyms) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synonyms = same
	s.version++
}

func (s *store) IndexVersion(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, ctx.Err()
}

func (s *store) Index(context.Context) (kb.Index, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return kb.Index{Version: s.version, Segments: slices.Clone(s.segments), Dead: slices.Clone(s.dead), Synonyms: s.synonyms}, nil
}

func (s *store) ReadSegment(_ context.Context, id, off, n int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.vanish > 0 {
		s.vanish--
		return nil, kb.E(kb.NotFound, nil, "segment %d is gone", id)
	}
	return s.blobs[id][off : off+n], nil
}

func (s *store) LiveChunks(_ context.Context, ids []kb.ChunkID) ([]kb.Chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []kb.Chunk
	for _, id := range ids {
		if c, ok := s.chunks[id]; ok {
			out = append(out, c)
		}
	}
	return out, nil
}

const steps = "本页说明如何导出。\n导出数据的步骤如下：\n1. 打开控制台。\n2. 点击“导出”按钮。\n3. 选择时间范围。\n4. 等待邮件通知。\n导出的文件保留七天。"

// shop is a small knowledge base in which every question below has one answer.
func shop(t testing.TB) *store {
	texts := []string{
		"退款在仓库收到退货后三个工作日内原路返回。定制商品不支持退货。运费由责任方承担。",
		"错误码 E1001 表示请求超时。错误码 E1002 表示签名不正确。",
		"在配置文件中填写 STORAGE_URL 后重启服务。getUserInfo 接口返回用户的昵称。v2.3.1 起不再支持明文传输。",
		"雲帆科技由林曉峰於2014年創立，總部位於杭州。公司現有員工六百餘人。",
		steps,
		"退款在仓库收到退货后三个工作日内原路返回。定制商品不支持退货。运费由责任方承担。", // the first again
	}
	s := &store{}
	var cs []kb.Chunk
	for i, text := range texts {
		cs = append(cs, kb.Chunk{ID: kb.ChunkID(i + 1), Document: kb.DocumentID(fmt.Sprint("d", i+1)), Title: "帮助", Text: text, Start: 100 * i, End: 100*i + len(text)})
	}
	s.add(t, cs[:3]...)
	s.add(t, cs[3:]...)
	return s
}

func first(t *testing.T, r *retrieve.Retriever, q string) (retrieve.Result, string) {
	t.Helper()
	res, err := r.Retrieve(t.Context(), q, 5)
	if err != nil {
		t.Fatalf("Retrieve(%q): %v", q, err)
	}
	if len(res.Quotes) == 0 {
		return res, ""
	}
	return res, res.Text(res.Quotes[0])
}

func TestRetrieveQuotesTheAnswer(t *testing.T) {
	t.Parallel()
	r := retrieve.New(shop(t), retrieve.Config{})
	for q, want := range map[string]string{
		"退款多久能到账？":             "三个工作日",
		"退款":                   "退款在仓库",
		"E1002":                "签名不正确",
		"e1001是什么意思":           "请求超时",
		"storage_url":          "STORAGE_URL",
		"What is getUserInfo?": "getUserInfo",
		"v2.3.1":               "明文传输",
		"云帆科技是谁创立的":            "林曉峰",
		"雲帆科技的總部在哪裡？":          "杭州",
		strings.Repeat("请问退款多久到账？", 900): "三个工作日",
	} {
		if res, got := first(t, r, q); !strings.Contains(got, want) {
			t.Errorf("Retrieve(%.40q) quotes %q, want it to hold %q; %d passages", q, got, want, len(res.Passages))
		}
	}
}

func TestRetrieveFindsNothingWithoutAWordInCommon(t *testing.T) {
	t.Parallel()
	r := retrieve.New(shop(t), retrieve.Config{})
	for _, q := range []string{"", "为什么？", "怎么办", "what is it", "How do I bake bread?", "；。！", "\x00\xff", "'; DROP TABLE chunks; --", "NEAR(x y)"} {
		res, _ := first(t, r, q)
		if len(res.Quotes) > 0 && res.Answers() {
			t.Errorf("Retrieve(%q) answers %q with %.2f, want nothing", q, res.Text(res.Quotes[0]), res.Answerable)
		}
	}
	if res, err := retrieve.New(&store{}, retrieve.Config{}).Retrieve(t.Context(), "退款", 5); err != nil || len(res.Passages) > 0 {
		t.Errorf("empty knowledge base: %v, %v, want nothing", res, err)
	}
}

func TestQuotesAreRangesOfTheDocument(t *testing.T) {
	t.Parallel()
	r := retrieve.New(shop(t), retrieve.Config{})
	res, err := r.Retrieve(t.Context(), "定制商品可以退货吗？运费谁承担", 5)
	if err != nil || len(res.Quotes) == 0 {
		t.Fatal(res, err)
	}
	for i, q := range res.Quotes {
		p := res.Passages[q.Passage]
		if q.Start < p.Start || q.End > p.End || q.Start >= q.End {
			t.Errorf("quote %d is %d to %d of a passage from %d to %d", i, q.Start, q.End, p.Start, p.End)
		}
		if q.Score < 0 || q.Score > 1 || i > 0 && q.Score > res.Quotes[i-1].Score {
			t.Errorf("quote %d scores %v after %v", i, q.Score, res.Quotes[0].Score)
		}
	}
	if res.Quotes[0].Score != res.Answerable {
		t.Errorf("the first quote scores %v, want Answerable %v", res.Quotes[0].Score, res.Answerable)
	}
}

func TestDuplicatesComeOnce(t *testing.T) {
	t.Parallel()
	res, _ := first(t, retrieve.New(shop(t), retrieve.Config{}), "退款多久到账")
	seen := map[string]bool{}
	for _, p := range res.Passages {
		if seen[p.Text] {
			t.Errorf("twice: %q", p.Text)
		}
		seen[p.Text] = true
	}
}

func TestASentenceOfTwoDocumentsIsQuotedOnce(t *testing.T) {
	t.Parallel()
	s := &store{}
	const same = "退款在仓库收到退货后三个工作日内原路返回。"
	for i, rest := range []string{"定制商品不支持退货。", "运费由责任方承担。"} {
		text := same + rest
		s.add(t, kb.Chunk{ID: kb.ChunkID(i + 1), Document: kb.DocumentID(fmt.Sprint("d", i)), Title: "帮助", Text: text, End: len(text)})
	}
	res, _ := first(t, retrieve.New(s, retrieve.Config{}), "退款几个工作日内返回？")
	n := 0
	for _, q := range res.Quotes {
		if res.Text(q) == same {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the sentence is quoted %d times among %d quotes", n, len(res.Quotes))
	}
}

func TestHowToQuotesAllSteps(t *testing.T) {
	t.Parallel()
	res, got := first(t, retrieve.New(shop(t), retrieve.Config{}), "怎么导出数据？")
	if res.Kind != retrieve.Method || !strings.HasPrefix(got, "导出数据的步骤") || !strings.HasSuffix(got, "等待邮件通知。") {
		t.Errorf("%v question quotes %q, want the steps", res.Kind, got)
	}
}

func TestDeadChunksNeverSurface(t *testing.T) {
	t.Parallel()
	s := shop(t)
	r := retrieve.New(s, retrieve.Config{})
	if _, got := first(t, r, "E1002"); got == "" {
		t.Fatal("not found before it died")
	}
	s.bury(2)
	res, got := first(t, r, "E1002")
	if strings.Contains(got, "E1002") {
		t.Errorf("quotes %q of a dead chunk", got)
	}
	for _, p := range res.Passages {
		if p.ID == 2 {
			t.Error("a dead chunk is a passage")
		}
	}
}

func TestNewSegmentsAreSeenAndOldOnesKept(t *testing.T) {
	t.Parallel()
	s := shop(t)
	r := retrieve.New(s, retrieve.Config{})
	first(t, r, "退款")
	before := s.reads
	s.add(t, kb.Chunk{ID: 50, Document: "new", Text: "年会定于十二月二十日举行。", End: 39})
	if _, got := first(t, r, "年会什么时候举行"); !strings.Contains(got, "十二月二十日") {
		t.Errorf("quotes %q, want the new chunk", got)
	}
	if n := s.reads - before; n != 1 {
		t.Errorf("%d reads of segments, want 1: the new one", n)
	}
}

func TestSegmentMergedAwayIsReadAnew(t *testing.T) {
	t.Parallel()
	s := shop(t)
	s.vanish = 1
	if _, got := first(t, retrieve.New(s, retrieve.Config{}), "E1002"); got == "" {
		t.Error("nothing found after a segment was merged away")
	}
	s.vanish = 1000
	if _, err := retrieve.New(s, retrieve.Config{}).Retrieve(t.Context(), "E1002", 3); kb.KindOf(err) != kb.NotFound {
		t.Errorf("Retrieve = %v, want kb.NotFound once it never comes back", err)
	}
}

func TestCanceledQuestionEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := retrieve.New(shop(t), retrieve.Config{}).Retrieve(ctx, "退款", 3); !errors.Is(err, context.Canceled) {
		t.Errorf("Retrieve = %v, want context.Canceled", err)
	}
}

func TestSynonyms(t *testing.T) {
	t.Parallel()
	s := shop(t)
	r := retrieve.New(s, retrieve.Config{})
	if res, got := first(t, r, "打款要几天"); res.Answers() {
		t.Fatalf("打款 is answered with %q before anybody said what it is", got)
	}
	s.know(kb.Synonyms{{"退款", "打款", "Rückzahlung"}, {"上限", "最多"}})
	for _, q := range []string{"打款要几天", "RÜCKZAHLUNG 要几天"} {
		if res, got := first(t, r, q); !res.Answers() || !strings.Contains(got, "退款") {
			t.Errorf("%s: answers %v with %q, confidence %.2f; want the refund", q, res.Answers(), got, res.Answerable)
		}
	}
}

func TestTheLanguageOfTheQuestionComesFirst(t *testing.T) {
	t.Parallel()
	s := &store{}
	for i, text := range []string{"E05: the LED board is defective.", "E05：灯板故障。"} {
		s.add(t, kb.Chunk{ID: kb.ChunkID(i + 1), Document: kb.DocumentID(fmt.Sprint("d", i)), Title: "E01 E05", Text: text, End: len(text)})
	}
	r := retrieve.New(s, retrieve.Config{})
	for q, want := range map[string]string{"那E05呢": "灯板", "E05 是什么": "灯板", "What about E05?": "LED", "E05": "LED"} {
		if _, got := first(t, r, q); !strings.Contains(got, want) {
			t.Errorf("%s: %q comes first, want what says %q", q, got, want)
		}
	}
}

func TestTheQuestionIsNotItsAnswer(t *testing.T) {
	t.Parallel()
	s := &store{}
	for i, text := range []string{"常见问题：\n退款多久到账？\n三个工作日内原路返回到您付款的账户。", "Try a question such as this one:\nWhat is the capital of France?"} {
		s.add(t, kb.Chunk{ID: kb.ChunkID(i + 1), Document: kb.DocumentID(fmt.Sprint("d", i)), Title: "Help", Text: text, End: len(text)})
	}
	r := retrieve.New(s, retrieve.Config{})
	if _, got := first(t, r, "退款多久到账"); !strings.Contains(got, "三个工作日") {
		t.Errorf("quotes %q, want what follows the question", got)
	}
	if res, got := first(t, r, "What is the capital of France?"); res.Answers() {
		t.Errorf("answered with %q, the question itself", got)
	}
}

// TestConcurrentQuestions asks while segments come and chunks die, with a cache
// too small for anything to stay; the race detector and the texts judge.
func TestConcurrentQuestions(t *testing.T) {
	t.Parallel()
	s := shop(t)
	r := retrieve.New(s, retrieve.Config{CacheBytes: 1})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				res, err := r.Retrieve(t.Context(), "错误码 E1001 退款 雲帆", 5)
				if err != nil || len(res.Passages) == 0 {
					t.Errorf("Retrieve = %v, %v", res, err)
					return
				}
			}
		})
	}
	for i := range 20 {
		id := kb.ChunkID(100 + i)
		s.add(t, kb.Chunk{ID: id, Document: "x", Text: fmt.Sprintf("错误码 E%d 的说明。", i), End: 30})
		if i%2 == 0 {
			s.bury(id)
		}
	}
	wg.Wait()
}

func TestWhatTheTextLacksIsNotAnswered(t *testing.T) {
	t.Parallel()
	s := &store{}
	for i, text := range []string{
		"星芒台灯自签收之日起保修 24 个月。", "退款在收到退货后三个工作日内原路返回。", "订单满 199 元包邮，不满收运费 8 元。", "发货以后请联系客服，热线电话是 400-820-1111。",
		"The lamp comes with a 24-month warranty.", "Shipping costs $4 within the mainland.",
		"注销后积分、优惠券和订单记录都会清除。", "16:00 前付款的订单当天发货。",
	} {
		s.add(t, kb.Chunk{ID: kb.ChunkID(i + 1), Document: kb.DocumentID(fmt.Sprint("d", i)), Text: text, End: len(text)})
	}
	r := retrieve.New(s, retrieve.Config{})
	for q, want := range map[string]bool{
		"台灯多少钱":                            false, // it is there, its price is not
		"运费多少":                             true,
		"How much is the lamp?":            false,
		"How much is shipping?":            true,
		"客服电话是多少":                          true,
		"退款电话是多少":                          false,
		"花呗退款":                             false, // of 花呗 there is nothing
		"优惠券怎么领":                           false, // coupons are mentioned, how to get one is not
		"可以货到付款吗":                          false, // of 货到付款 only 付款
		"退款几天到账":                           true,
		"台灯保修多久":                           true,
		"How long is the lamp's warranty?": true,
	} {
		if res, got := first(t, r, q); res.Answers() != want {
			t.Errorf("%s: answers is %v at %.2f with %q, want %v", q, res.Answers(), res.Answerable, got, want)
		}
	}
}

func TestAConclusionIsQuotedWithItsReason(t *testing.T) {
	t.Parallel()
	s := &store{}
	text := "憍陈如是他的姓。他在五人之中最早开悟。因此被称为阿若。后来他回到故乡。"
	s.add(t, kb.Chunk{ID: 1, Document: "d", Text: text, End: len(text)})
	r := retrieve.New(s, retrieve.Config{})
	if _, got := first(t, r, "他为什么被称为阿若？"); got != "他在五人之中最早开悟。因此被称为阿若。" {
		t.Errorf("quote = %q, want the conclusion and the reason before it", got)
	}
	if _, got := first(t, r, "谁被称为阿若？"); got != "因此被称为阿若。" {
		t.Errorf("quote = %q, want one sentence where not asked why", got)
	}
}
