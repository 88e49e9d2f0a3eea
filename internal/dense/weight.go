package dense

import "strings"

// Weight is the part of the cosine in the fused score that suits a model. It
// is high because package retrieve counts cosines from −1, and those of texts
// of one knowledge base all lie in the upper part.
//
// all-MiniLM-L6-v2 was measured with `bin/server eval` (tools/minilm) on 388
// headings of dify-docs (en) as questions for their sections: nDCG@10 of words
// .456, of vectors .466, of both .504, .516, .532, .540, .542 at .5, .6, .7, .8,
// .9. It was then judged on SciFact, which chose nothing: words .682, vectors
// .651, both .691, .706, .716, .724, .734, .738 at .2, .35, .5, .6, .7, .8.
//
// Models that nobody measured get less, at which both sets had most of the
// gain.
func Weight(model string) float32 {
	const measured, other = 0.8, 0.6
	if strings.HasSuffix(strings.ToLower(model), "all-minilm-l6-v2") { // with or without who published it
		return measured
	}
	return other
}
