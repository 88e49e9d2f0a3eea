package main

import "math"

// rank learns a linear ranker: the softmax over a question's sentences should
// fall on the ones that answer. It begins at prior and is drawn to it by l2.
func rank(all []example, prior []float64, l2 float64) []float64 {
	n := len(prior)
	total := 0.0
	for _, e := range all {
		total += e.world.rank
	}
	o := newAdam(n)
	copy(o.w, prior)
	for range 300 {
		grad := make([]float64, n)
		for _, e := range all {
			p, pg := softmax(o.w, e)
			if pg == nil {
				continue
			}
			for i, x := range e.x {
				if d := p[i] - pg[i]; d != 0 {
					for k, v := range x {
						grad[k] += d * float64(v) * e.world.rank / total
					}
				}
			}
		}
		for k := range grad {
			grad[k] += l2 * (o.w[k] - prior[k])
		}
		o.step(grad)
	}
	return o.w
}

// softmax returns the probability of each sentence, and given that one answers.
func softmax(w []float64, e example) (p, pg []float64) {
	p = make([]float64, len(e.x))
	top := math.Inf(-1)
	for i, x := range e.x {
		for k, v := range x {
			p[i] += w[k] * float64(v)
		}
		top = max(top, p[i])
	}
	var z, zg float64
	for i := range p {
		p[i] = math.Exp(p[i] - top)
		z += p[i]
		if e.gold[i] {
			zg += p[i]
		}
	}
	if zg == 0 {
		return p, nil
	}
	pg = make([]float64, len(p))
	for i := range p {
		if e.gold[i] {
			pg[i] = p[i] / zg
		}
		p[i] /= z
	}
	return p, pg
}

// decide learns the logistic model that tells answerable from not.
func decide(all []example) []float64 {
	n := len(all[0].yes)
	total := 0.0
	for _, e := range all {
		if e.yes != nil {
			total += e.world.weight
		}
		for i, x := range e.no {
			if x != nil {
				total += noWeights[i] * e.world.weight
			}
		}
	}
	o := newAdam(n)
	for range 1500 {
		grad := make([]float64, n)
		for _, e := range all {
			w := e.world.weight / total
			pull(grad, o.w, e.yes, 1, w)
			for i, x := range e.no {
				pull(grad, o.w, x, 0, noWeights[i]*w)
			}
		}
		for k := range grad {
			grad[k] += 0.0001 * o.w[k]
			if k >= n/2 { // what is said of small knowledge bases rests on few of them
				grad[k] += 0.0002 * o.w[k]
			}
		}
		o.step(grad)
	}
	return o.w
}

// pull adds the gradient of one example of the logistic loss.
func pull(grad, w []float64, x []float32, y, weight float64) {
	if x == nil {
		return
	}
	d := (logistic(w, x) - y) * weight
	for k, v := range x {
		grad[k] += d * float64(v)
	}
}

func logistic(w []float64, x []float32) float64 {
	s := 0.0
	for k, v := range x {
		s += w[k] * float64(v)
	}
	return 1 / (1 + math.Exp(-s))
}

// adam is the optimiser of Kingma and Ba, 2015, with their constants.
type adam struct {
	w, m, v []float64
	t       float64
}

func newAdam(n int) *adam {
	return &adam{w: make([]float64, n), m: make([]float64, n), v: make([]float64, n)}
}

func (a *adam) step(grad []float64) {
	a.t++
	for k, g := range grad {
		a.m[k] = 0.9*a.m[k] + 0.1*g
		a.v[k] = 0.999*a.v[k] + 0.001*g*g
		a.w[k] -= 0.1 * (a.m[k] / (1 - math.Pow(0.9, a.t))) / (math.Sqrt(a.v[k]/(1-math.Pow(0.999, a.t))) + 1e-8)
	}
}
