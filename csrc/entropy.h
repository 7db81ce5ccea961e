// Cross-entropy of a softmax, with its gradient in place. Each row is processed completely while it is in the cache.
#pragma once
#include <math.h>

#include "team.h"
#include "vec.h"

// Return -log softmax(z + b)[y]. e: [n] out, exp(z + b - max). scale: out, e * scale is the softmax.
static float entropy_row(long n, const float *z, const float *b, long y, float *e, float &scale)
{
    V most = all(-INFINITY), sums = {};
    for (long i = 0; i < n; i += W) {
        V v = load(z + i, n - i) + load(b + i, n - i);
        store(e + i, v, n - i);
        if (n - i < W)
            for (long lane = n - i; lane < W; lane++) v[lane] = -INFINITY;
        most = v > most ? v : most;
    }
    const float top = largest(most), target = e[y];
    for (long i = 0; i < n; i += W) {
        V powers = exponential(load(e + i, n - i) - top);
        store(e + i, powers, n - i);
        if (n - i < W)
            for (long lane = n - i; lane < W; lane++) powers[lane] = 0.0f;
        sums += powers;
    }
    const float sum = total(sums);
    scale = 1.0f / sum;
    return logf(sum) + (top - target);
}

static void entropy_of(const unrolled_entropy &f, Team &team)
{
    const long n = f.outputs;
    float *own = f.work + team.me * n; // without train: e of one row; with train: this thread's part of d_b
    if (f.train) memset(own, 0, sizeof(float) * n);
    for (long r = f.rows * team.me / team.size; r < f.rows * (team.me + 1) / team.size; r++) {
        float *z = f.z + r * n, scale;
        f.nats[r] = entropy_row(n, z, f.b, f.y[r], f.train ? z : own, scale);
        if (!f.train) continue;
        for (long i = 0; i < n; i += W) {
            V d = load(z + i, n - i) * scale;
            store(z + i, d, n - i);
            store(own + i, load(own + i, n - i) + d, n - i);
        }
        z[f.y[r]] -= 1.0f;
        own[f.y[r]] -= 1.0f;
    }
    team.sync();
    for (long i = f.train && !team.me ? 0 : n; i < n; i++) {
        float sum = 0.0f;
        for (long other = 0; other < team.size; other++) sum += f.work[other * n + i];
        f.d_b[i] = sum;
    }
}
