package retrieve

var sentenceWeights = [features]float32{fCover: 5, fLocal: 5, fNear: 1, fPassage: 2, fFirst: 1}

var answerWeights = [signals]float32{sBias: -4, sCover: 4, sPassage: 4}

const answerableThreshold = 0.5
